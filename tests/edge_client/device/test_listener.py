"""Listening: pausing closes the microphone, and what happens to it is told."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_client.device.device import Device
from edge_client.device.listening import Listener
from edge_client.device.settings import DeviceSettings
from edge_client.hearing.segmentation import Segmenter
from edge_client.hearing.source import BLOCK, Event, OnEvent
from shared.audio import RATE, Samples
from shared.errors import MissingPartError
from tests.brokers import BOUND, wait_until
from tests.edge_client.device.heard import utterance


class Tap:
    """A source whose blocks a test hands in."""

    def __init__(self, on_event: OnEvent) -> None:
        self.blocks_in: queue.SimpleQueue[Samples | None] = queue.SimpleQueue()
        self.on_event = on_event
        self.closed = threading.Event()

    def blocks(self) -> Iterator[Samples]:
        self.on_event(Event("connected", "Listening to a tap."))
        while (block := self.blocks_in.get(timeout=BOUND)) is not None:
            yield block

    def close(self) -> None:
        self.closed.set()
        self.blocks_in.put(None)

    def give(self, sound: Samples) -> None:
        for start in range(0, len(sound), BLOCK):
            self.blocks_in.put(sound[start : start + BLOCK])


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(DeviceSettings(state=tmp_path / "state")) as device:
        yield device


def quiet(seconds: float) -> Samples:
    rng = np.random.default_rng(0)
    return np.float32(1e-4) * rng.standard_normal(int(seconds * RATE), np.float32)


def spoken(seed: int) -> Samples:
    """Make a sound between silences that is taken for an utterance."""
    return np.concatenate([quiet(1), np.float32(0.5) * utterance(seed, 1).samples, quiet(1.5)])


def test_pausing_closes_the_microphone_and_forgets_what_had_begun(device: Device) -> None:
    taps: list[Tap] = []

    def open_tap(on_event: OnEvent) -> Tap:
        taps.append(Tap(on_event))
        return taps[-1]

    listener = Listener(device, open_tap, Segmenter, "mic")
    wait_until(lambda: taps, "it listens")
    taps[0].give(spoken(1))
    wait_until(lambda: device.counts()["unlabelled"] == 1, "the first is heard")
    taps[0].give(spoken(2)[: int(1.5 * RATE)])
    wait_until(lambda: device.speaking, "speech has begun")
    assert device.status()["state"] == "speaking"
    assert device.level > -20
    device.pause()
    assert taps[0].closed.wait(BOUND)
    wait_until(lambda: device.level == -100, "the level has fallen")
    device.resume()
    wait_until(lambda: len(taps) == 2, "it listens again")
    taps[1].give(spoken(3))
    wait_until(lambda: device.counts()["unlabelled"] == 2, "the third is heard")
    assert not listener.wait(0)
    listener.close()
    assert taps[1].closed.is_set()
    assert listener.wait(0)
    assert device.status()["state"] == "idle"


def test_what_happens_to_the_source_is_told(device: Device) -> None:
    taps: list[Tap] = []

    def open_tap(on_event: OnEvent) -> Tap:
        taps.append(Tap(on_event))
        return taps[-1]

    listener = Listener(device, open_tap, Segmenter, "mic")
    wait_until(lambda: device.status()["source"], "the source is told")
    taps[0].on_event(Event("overrun", "Sound was lost."))
    taps[0].on_event(Event("overrun", "Sound was lost."))
    assert device.status()["source"]["overruns"] == 2
    assert device.status()["state"] == "listening"
    taps[0].on_event(Event("lost", "The tap is gone."))
    assert device.status()["state"] == "waiting"
    assert device.status()["source"]["detail"] == "The tap is gone."
    taps[0].on_event(Event("connected", "It is back."))
    assert device.status()["state"] == "listening"
    listener.close()


def test_a_microphone_that_cannot_be_opened_ends_it_with_its_sentence(device: Device) -> None:
    def refuse(_: OnEvent) -> Tap:
        raise MissingPartError("There is no microphone.", "Plug one in.")

    listener = Listener(device, refuse, Segmenter, "mic")
    with pytest.raises(MissingPartError, match="no microphone"):
        listener.wait(BOUND)
    listener.close()


def test_the_end_of_a_recording_ends_its_last_utterance(device: Device) -> None:
    def open_tap(on_event: OnEvent) -> Tap:
        tap = Tap(on_event)
        tap.give(spoken(1)[: int(1.8 * RATE)])
        tap.blocks_in.put(None)
        return tap

    listener = Listener(device, open_tap, Segmenter, "wav")
    assert listener.wait(BOUND)
    listener.close()
    (heard,) = device.recent()
    assert heard.source == "wav"

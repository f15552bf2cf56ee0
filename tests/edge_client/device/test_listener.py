"""Listening: pausing closes the microphone, and what happens to it is told."""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.device.device import Device, DeviceEvent
from edge_client.device.listening import NOTHING, Listener
from edge_client.device.settings import DeviceSettings
from edge_client.hearing.segmentation import Segmenter
from edge_client.hearing.source import BLOCK, OnEvent, SoundSource, SourceEvent
from shared.architectures import architecture_of
from shared.audio import RATE, Samples
from shared.encoders.network import Network
from shared.errors import MissingPartError
from shared.front_ends import MFCC40, front_end_named
from shared.front_ends.network import NetworkEncoding
from shared.model_notes import NO_NOTES
from shared.task import DEFAULT_TASK, Task
from shared.weights import fresh_weights, save_weights
from tests.brokers import BOUND, wait_until
from tests.edge_client.device.heard import utterance


class Tap(SoundSource):
    """A source whose blocks a test hands in."""

    def __init__(self, on_event: OnEvent) -> None:
        self.blocks_in: queue.SimpleQueue[Samples | None] = queue.SimpleQueue()
        self.on_event = on_event
        self.closed = threading.Event()

    def blocks(self) -> Iterator[Samples]:
        self.on_event(SourceEvent("connected", "Listening to a tap."))
        while (block := self.blocks_in.get(timeout=BOUND)) is not None:
            yield block

    def close(self) -> None:
        self.closed.set()
        self.blocks_in.put(None)

    def give(self, sound: Samples) -> None:
        for start in range(0, len(sound), BLOCK):
            self.blocks_in.put(sound[start : start + BLOCK])


OpenTap = Callable[[OnEvent, SoundSource | None], Tap]


@pytest.fixture
def taps() -> list[Tap]:
    return []


@pytest.fixture
def open_tap(taps: list[Tap]) -> OpenTap:
    def open_tap(on_event: OnEvent, before: SoundSource | None) -> Tap:
        assert before is (taps[-1] if taps else None)
        taps.append(Tap(on_event))
        return taps[-1]

    return open_tap


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


def test_pausing_closes_the_microphone_and_forgets_what_had_begun(
    device: Device, taps: list[Tap], open_tap: OpenTap
) -> None:
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


def test_what_happens_to_the_source_is_told(
    device: Device, taps: list[Tap], open_tap: OpenTap
) -> None:
    listener = Listener(device, open_tap, Segmenter, "mic")
    wait_until(lambda: device.status()["source"], "the source is told")
    taps[0].on_event(SourceEvent("overrun", "Sound was lost."))
    taps[0].on_event(SourceEvent("overrun", "Sound was lost."))
    assert device.status()["source"]["overruns"] == 2
    assert device.status()["state"] == "listening"
    taps[0].on_event(SourceEvent("lost", "The tap is gone."))
    assert device.status()["state"] == "waiting"
    assert device.status()["source"]["detail"] == "The tap is gone."
    taps[0].on_event(SourceEvent("connected", "It is back."))
    assert device.status()["state"] == "listening"
    listener.close()


def test_a_microphone_that_cannot_be_opened_ends_it_with_its_sentence(device: Device) -> None:
    def refuse(_: OnEvent, __: SoundSource | None) -> Tap:
        raise MissingPartError("There is no microphone.", "Plug one in.")

    listener = Listener(device, refuse, Segmenter, "mic")
    with pytest.raises(MissingPartError, match="no microphone"):
        listener.wait(BOUND)
    listener.close()


def test_of_long_speech_a_network_computes_nothing_before_its_end(
    tmp_path: Path, taps: list[Tap], open_tap: OpenTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "network.safetensors"
    tdnn13 = architecture_of("tdnn13", Task(DEFAULT_TASK.labels, MFCC40))
    own = Network(tdnn13, fresh_weights(tdnn13, 1), np.zeros(40), np.full(40, 10.0))
    own.write(file, NO_NOTES)
    task = Task(DEFAULT_TASK.labels, front_end_named(str(file)).shape)
    head = architecture_of("head", task)
    weights = np.random.default_rng(5).standard_normal(head.parameters, np.float32)
    save_weights(tmp_path / "head.safetensors", weights, head)
    asked: list[Samples] = []
    compute = NetworkEncoding.vector

    def vector(self: NetworkEncoding, samples: Samples) -> NDArray[np.float32]:
        asked.append(samples)
        return compute(self, samples)

    monkeypatch.setattr(NetworkEncoding, "vector", vector)
    settings = DeviceSettings(
        state=tmp_path / "state",
        front_end=str(file),
        weights=tmp_path / "head.safetensors",
        normalisation="none",
    )
    syllable = np.concatenate([np.float32(0.5) * utterance(1, 0.5).samples, quiet(0.1)])
    with Device(settings) as device:
        listener = Listener(device, open_tap, Segmenter, "mic")
        wait_until(lambda: taps, "it listens")
        taps[0].give(np.concatenate([quiet(1), *[syllable] * 15]))
        wait_until(taps[0].blocks_in.empty, "nine seconds have been said")
        wait_until(lambda: device.speaking, "speech goes on")
        assert not asked
        taps[0].give(quiet(1.5))
        wait_until(device.recent, "it has ended")
        listener.close()
        (heard,) = device.recent()
    (sound,) = asked
    assert heard.seconds == pytest.approx(len(sound) / RATE)
    assert 9 < heard.seconds < 10
    kernel, bias = weights[:-4].reshape(-1, 4), weights[-4:]
    powers = np.exp(compute(NetworkEncoding(own), sound) @ kernel + bias)
    assert heard.probabilities == pytest.approx(tuple(powers / powers.sum()), abs=1e-4)


def test_the_end_of_a_recording_ends_its_last_utterance(device: Device) -> None:
    def open_tap(on_event: OnEvent, _: SoundSource | None) -> Tap:
        tap = Tap(on_event)
        tap.give(spoken(1)[: int(1.8 * RATE)])
        tap.blocks_in.put(None)
        return tap

    listener = Listener(device, open_tap, Segmenter, "wav")
    assert listener.wait(BOUND)
    listener.close()
    (heard,) = device.recent()
    assert heard.source == "wav"


def test_what_is_being_said_is_forgotten_with_everything_else(
    device: Device, taps: list[Tap], open_tap: OpenTap
) -> None:
    listener = Listener(device, open_tap, Segmenter, "mic")
    wait_until(lambda: taps, "it listens")
    sound = spoken(1)
    taps[0].give(sound[: int(1.5 * RATE)])
    wait_until(lambda: device.speaking, "speech has begun")
    heard_while_deleting: list[bool] = []

    def say_more(event: DeviceEvent) -> None:
        if event.kind == "deleting":
            taps[0].give(sound[int(1.5 * RATE) :])
            wait_until(taps[0].blocks_in.empty, "the rest has been said")
            heard_while_deleting.append(device.speaking)

    device.subscribe(say_more)
    device.delete_everything()
    assert heard_while_deleting == [False]
    taps[0].give(quiet(2))
    taps[0].give(spoken(2))
    wait_until(device.recent, "the next is heard")
    assert sum(device.counts().values()) == 1
    assert not device.status()["source"]["lost"]
    listener.close()


def test_a_pause_that_is_over_at_once_does_not_end_the_listening(
    device: Device, taps: list[Tap], open_tap: OpenTap
) -> None:
    listener = Listener(device, open_tap, Segmenter, "mic")
    wait_until(lambda: taps, "it listens")
    device.pause()
    device.resume()
    wait_until(lambda: len(taps) == 2, "it listens again")
    taps[1].give(spoken(3))
    wait_until(lambda: device.counts()["unlabelled"] == 1, "it hears")
    listener.close()


def test_a_lost_microphone_is_said_until_it_is_back(
    device: Device, taps: list[Tap], open_tap: OpenTap, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edge_client")
    listener = Listener(device, open_tap, Segmenter, "mic")
    wait_until(lambda: device.status()["source"], "the source is told")
    taps[0].on_event(SourceEvent("lost", "The tap is gone."))
    assert device.problem == "The tap is gone."
    for count in range(1, 6):
        taps[0].on_event(SourceEvent("overrun", f"Sound was lost {count} times."))
    assert device.status()["source"]["overruns"] == 5
    assert device.status()["source"]["detail"] == "The tap is gone."
    taps[0].on_event(SourceEvent("connected", "It is back."))
    assert device.problem is None
    listener.close()
    assert [record.message for record in caplog.records] == [
        "Listening to a tap.",
        "The tap is gone.",
        *(f"Sound was lost {count} times." for count in (1, 2, 4)),
        "It is back.",
    ]


@pytest.mark.parametrize("sound", [quiet(3), quiet(0.1), 2000 * quiet(60)])
def test_a_recording_in_which_nobody_speaks_is_said_and_is_no_error(
    device: Device, sound: Samples
) -> None:
    def open_tap(on_event: OnEvent, _: SoundSource | None) -> Tap:
        tap = Tap(on_event)
        tap.give(sound)
        tap.blocks_in.put(None)
        return tap

    listener = Listener(device, open_tap, Segmenter, "wav")
    assert listener.wait(BOUND)
    listener.close()
    assert device.recent() == []
    assert device.problem == NOTHING


class Ending(Listener):
    """One whose listening ends, if it is to, as soon as somebody has looked at its source."""

    ends = False
    _given: SoundSource | None = None

    @property
    def _source(self) -> SoundSource | None:
        given = self._given
        if self.ends:
            self._given = None
        return given

    @_source.setter
    def _source(self, source: SoundSource | None) -> None:
        self._given = source


def test_listening_may_end_by_itself_while_it_is_ended(
    device: Device, open_tap: OpenTap, taps: list[Tap]
) -> None:
    listener = Ending(device, open_tap, Segmenter, "mic")
    wait_until(lambda: taps, "it listens")
    wait_until(lambda: listener._given, "it has a source")
    listener.ends = True
    listener.close()
    assert taps[0].closed.is_set()

"""The microphone's loop over a device that overruns, refuses, disappears and comes back."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from edge_client.hearing import microphone
from edge_client.hearing.microphone import BACKLOG, Microphone
from edge_client.hearing.source import BLOCK, SourceEvent
from shared.audio import Samples
from shared.errors import MissingPartError
from tests.edge_client.hearing.fake_portaudio import (
    FakePortAudio,
    FakeStream,
    PortAudioError,
    portaudio,
)

__all__ = ["portaudio"]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[SourceEvent]:
    monkeypatch.setattr(microphone, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(microphone, "LOOK", 0.01)
    return []


def started(portaudio: FakePortAudio, blocks: Iterator[Samples]) -> tuple[FakeStream, Samples]:
    """Take the first block, whose sound is given once the stream is open."""

    def give() -> None:
        assert portaudio.opened.wait(60)
        assert portaudio.stream is not None
        portaudio.stream.give(2)

    portaudio.opened.clear()
    giver = threading.Thread(target=give)
    giver.start()
    first = next(blocks)
    giver.join()
    assert portaudio.stream is not None
    return portaudio.stream, first


def test_opened_as_the_device_is_and_resampled(
    portaudio: FakePortAudio, events: list[SourceEvent]
) -> None:
    portaudio.plug("Sound server", channels=32, rate=48_000)
    ears = Microphone(on_event=events.append)
    stream, block = started(portaudio, ears.blocks())
    assert (stream.options["samplerate"], stream.options["channels"]) == (48_000, 2)
    assert stream.options["blocksize"] == 960
    assert block.shape == (BLOCK,)
    assert events[0].kind == "connected"


@pytest.mark.parametrize(("channel", "value"), [(None, 0.375), (1, 0.5), (3, 0.5 / 3)])
def test_channels(portaudio: FakePortAudio, channel: int | None, value: float) -> None:
    portaudio.plug("Array", channels=4)
    ears = Microphone(channel=channel)
    _, block = started(portaudio, ears.blocks())
    np.testing.assert_allclose(block, value, rtol=1e-6)


def test_overruns_are_told_and_end_nothing(
    portaudio: FakePortAudio, events: list[SourceEvent]
) -> None:
    portaudio.plug("USB")
    ears = Microphone(on_event=events.append)
    blocks = ears.blocks()
    stream, _ = started(portaudio, blocks)
    stream.give(overflow=True)
    next(blocks)
    stream.give(BACKLOG + 7)
    for _ in range(BACKLOG):
        next(blocks)
    assert ears._lost_pieces > 7
    told = [event.kind for event in events[1:]]
    assert told == ["overrun"] * len(told)
    assert len(told) > 1


def test_a_lost_device_is_found_again_by_its_name(
    portaudio: FakePortAudio, events: list[SourceEvent]
) -> None:
    portaudio.plug("Built-in")
    portaudio.plug("USB Mic: Audio (hw:1,0)")
    ears = Microphone(1, on_event=events.append)
    blocks = ears.blocks()
    stream, _ = started(portaudio, blocks)
    portaudio.devices.pop()

    def come_back() -> None:
        # Not before the microphone has looked in vain, also at a PortAudio that does not work.
        for looks, broken in ((2, True), (4, False)):
            while portaudio.restarts < looks:
                threading.Event().wait(0.005)
            portaudio.broken = broken
        portaudio.plug("USB Camera (hw:1,0)")
        portaudio.plug("USB Mic: Audio (hw:2,0)")

    returning = threading.Thread(target=come_back)
    returning.start()
    stream.active = False
    next(blocks)  # the second piece that the first stream had given
    again, _ = started(portaudio, blocks)
    returning.join()
    assert stream.closed
    assert again is not stream
    assert again.options["device"] == 2
    assert [event.kind for event in events] == ["connected", "lost", "connected"]


def test_a_device_that_falls_silent_is_taken_for_lost(
    portaudio: FakePortAudio, events: list[SourceEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone, "STALLED", 0.05)
    portaudio.plug("USB")
    ears = Microphone(on_event=events.append)
    blocks = ears.blocks()
    stream, _ = started(portaudio, blocks)
    next(blocks)
    again, _ = started(portaudio, blocks)
    assert again is not stream
    assert [event.kind for event in events] == ["connected", "lost", "connected"]


def test_close_ends_it_while_it_listens_and_while_it_waits(
    portaudio: FakePortAudio, events: list[SourceEvent]
) -> None:
    portaudio.plug("USB")
    for taken_away in (False, True):
        ears = Microphone(on_event=events.append)
        blocks = ears.blocks()
        stream, _ = started(portaudio, blocks)
        if taken_away:
            portaudio.devices.clear()
            stream.active = False
        closing = threading.Timer(0.1, ears.close)
        closing.start()
        assert len(list(blocks)) <= 1
        assert stream.closed
        closing.join()


def test_a_consumer_that_leaves_closes_the_device(portaudio: FakePortAudio) -> None:
    portaudio.plug("USB")
    blocks = Microphone().blocks()
    stream, _ = started(portaudio, blocks)
    del blocks
    assert stream.closed


def test_a_busy_device_is_an_error_at_first(portaudio: FakePortAudio) -> None:
    portaudio.plug("USB")
    portaudio.refusal = PortAudioError("Device unavailable", -9985)
    with pytest.raises(MissingPartError, match="in use by another program"):
        next(Microphone().blocks())


def test_who_waits_hears_the_first_that_can_be_used(
    portaudio: FakePortAudio, events: list[SourceEvent]
) -> None:
    unavailable = PortAudioError("Device unavailable", -9985)

    def come() -> None:
        # At its second look there is one, which another program uses until the fourth.
        if portaudio.restarts == 2:
            portaudio.plug("USB Mic")
            portaudio.refusal = unavailable
        elif portaudio.restarts == 4:
            portaudio.refusal = None

    portaudio.on_restart = come
    started(portaudio, Microphone(on_event=events.append, waits=True).blocks())
    assert portaudio.restarts == 4
    assert [event.kind for event in events] == ["lost", "connected"]
    assert events[0].detail.startswith("Waiting for a microphone. This machine has no microphone.")


def test_who_waits_for_a_microphone_may_have_enough(
    portaudio: FakePortAudio, events: list[SourceEvent]
) -> None:
    for waits in (Microphone(on_event=events.append, waits=True), Microphone().anew()):
        portaudio.on_restart = waits.close
        assert list(waits.blocks()) == []
    assert [event.kind for event in events] == ["lost"]


def test_a_microphone_plugged_in_anew_during_a_pause_is_found(portaudio: FakePortAudio) -> None:
    portaudio.plug("USB Mic: Audio (hw:1,0)")
    portaudio.plug("Built-in (hw:0,0)")
    ears = Microphone("0")
    stream, _ = started(portaudio, ears.blocks())
    ears.close()
    assert portaudio.restarts == 0
    # What PortAudio knows is what it saw when it looked last.
    seen, portaudio.devices = portaudio.devices, []
    portaudio.plug("Built-in (hw:0,0)")
    portaudio.plug("USB Mic: Audio (hw:2,0)")
    present, portaudio.devices = portaudio.devices, seen
    portaudio.on_restart = lambda: setattr(portaudio, "devices", present)
    again, _ = started(portaudio, ears.anew().blocks())
    assert portaudio.restarts == 1
    assert again is not stream
    assert again.options["device"] == 1, "by its name, not by its number"


def test_of_two_of_one_kind_the_same_is_opened_again(portaudio: FakePortAudio) -> None:
    portaudio.plug("USB Mic: Audio (hw:1,0)")
    portaudio.plug("USB Mic: Audio (hw:2,0)")
    ears = Microphone(1)
    started(portaudio, ears.blocks())
    ears.close()
    again, _ = started(portaudio, ears.anew().blocks())
    assert again.options["device"] == 1

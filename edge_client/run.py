"""``edge-client run``: puts the device together with what it hears by and shows itself in."""

import json
import logging
import queue
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar

from edge_client.device.beginning import CHOSEN
from edge_client.device.device import Device, DeviceEvent
from edge_client.device.first_minute import FirstMinute
from edge_client.device.listening import Listener
from edge_client.device.personalising import Learning
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.federation.settings import FederationSettings, name_of_clips
from edge_client.hearing.segmentation import Segmenter
from edge_client.hearing.settings import HearingSettings
from edge_client.hearing.source import OnEvent, SoundSource
from edge_client.settings import (
    WEB_PORT,
    AppearanceSettings,
    HomeAssistantSettings,
    RunSettings,
)
from shared.command import answer_console, log_to_stderr, write_no_more
from shared.environment import remark_once
from shared.errors import AudioError, SettingsError, StorageError
from shared.mqtt.addresses import is_loopback, split_address
from shared.standard_error import hushed

if TYPE_CHECKING:
    from edge_client.device.stored_utterance import StoredUtterance
    from edge_client.faces.home_assistant import Appearance
    from edge_client.federation.taking_part import Companion

    Line = tuple[StoredUtterance, dict[str, Any] | None, str | None]
    """An utterance, how far the device had got to know its person by it, and its words, if this is
    the line that shows them."""

_log = logging.getLogger(__name__)

Made = TypeVar("Made")
"""What is made when there is room."""

_LOOK: Final = 0.2
"""Seconds between looks whether the listening has ended."""

_FULL_WAIT: Final = 5.0
"""Seconds before a full disk is looked at again."""

_LISTENING: Final = (
    *("fast", "headless", "web", "home_assistant", "weights", "starter"),
    *("speaker", "keep_audio", "keep_unlabelled", "words"),
)
"""Settings of a device that listens."""


def run_device(settings: RunSettings) -> None:
    """Listen until the person ends it, or the recording ends.

    Raises
    ------
    ChorusError
        Whatever keeps it from listening. Everything kept before stays.
    """
    if settings.wav is not None and not settings.wav.exists():
        raise AudioError(f"There is no recording {settings.wav}.", "Check the name.")
    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, _end))
        if clips := _labelled_clips(settings):
            _take_part_with_clips(settings, clips)
            return
        as_told = not CHOSEN & settings.model_fields_set
        settings = settings.begun()
        shown = not settings.headless and sys.stdin.isatty() and sys.stdout.isatty()
        if not (shown and sys.stderr.isatty()):
            log_to_stderr()  # else the view says it
        device = stack.enter_context(opened(settings))
        if device.recognising.digest is None:
            device.say("model", _without_model(settings))
        stack.enter_context(closing(FirstMinute(device)))
        stack.enter_context(closing(Learning(device)))
        if not settings.offline:
            stack.enter_context(_take_part(device, settings, as_told=as_told))
        page = _serve(device, settings, settings.web, stack) if settings.web else None
        if settings.home_assistant:
            from edge_client.faces.home_assistant import HomeAssistant

            shown_as = appearance(settings, settings.home_assistant, page)
            home = HomeAssistant(device, settings.home_assistant, shown_as)
            stack.enter_context(closing(home))
        (_show if shown else _print_all)(device, settings, stack)


def opened(settings: RunSettings, sleep: Callable[[float], object] = time.sleep) -> Device:
    """Open the device; while the disk is full, a microphone waits until there is room.

    A recording does not: its end is awaited.
    """
    make = partial(Device, settings.part(DeviceSettings))
    return when_there_is_room(make, sleep) if settings.mic else make()


def when_there_is_room(
    make: Callable[[], Made], sleep: Callable[[float], object] = time.sleep
) -> Made:
    """Make what needs room on the disk, and try again while there is none."""
    said = False
    while True:
        try:
            return make()
        except StorageError as error:
            if not error.full:
                raise
            if not said:
                _log.error("%s", error.awaited)
            said = True
            sleep(_FULL_WAIT)


def _without_model(settings: RunSettings) -> str:
    remedy = (
        "Give one with --weights FILE." if settings.offline else "It comes from the federation."
    )
    return f"There is no model yet: what is heard is kept, to be labelled. {remedy}"


def _labelled_clips(settings: RunSettings) -> Path | None:
    """Give the labelled clips to take part with; in version 0.1 they were given by ``--wav``."""
    wav = settings.wav
    if wav is None or not (wav.is_dir() or wav.suffix.lower() == ".csv"):
        return settings.clips
    remark_once(
        f"Labelled clips have an option of their own, --clips {wav}; --wav takes them in this "
        "version only."
    )
    return wav


def _take_part_with_clips(settings: RunSettings, clips: Path) -> None:
    """Take part in a federation without listening."""
    _check_only_clips(settings, clips)
    from edge_client.federation.taking_part import as_member, take_part_with_clips

    # Several may run on one machine without further settings: one for each folder of clips.
    federation, state = settings.part(FederationSettings), DeviceFolder(settings.folder)
    federation, membership = as_member(federation, state)
    if federation.client is None:
        place = clips.resolve()
        name = name_of_clips(federation.name, place.name if place.is_dir() else place.stem)
        federation = federation.model_copy(update={"client": name})
    when_there_is_room(state.make)
    state.finish_deleting()
    if settings.state is None:
        state = DeviceFolder(state.clips / federation.name)
    chosen = "front_end" in settings.model_fields_set
    with ExitStack() as stack:
        when_there_is_room(lambda: stack.enter_context(state.taken()))
        part = state.federations / federation.federation
        take_part_with_clips(
            federation,
            clips,
            part,
            follows=not chosen,
            begun=settings.voice or settings.prior,
            as_told=not CHOSEN & settings.model_fields_set,
            membership=membership,
        )


def _check_only_clips(settings: RunSettings, clips: Path) -> None:
    """Check that nothing was asked for that a device without a microphone does not do."""
    if settings.offline:
        raise SettingsError(
            f"{clips} holds labelled clips, which are for a federation.",
            "Leave out --offline, or give one recording: --wav FILE.",
        )
    if given := [name for name in _LISTENING if getattr(settings, name)]:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise SettingsError(
            f"{clips} holds labelled clips, which the device does not listen to: they go without "
            f"{options}.",
            "Leave them out, also of the --config (`edge-client join LINK --no-page` writes none), "
            "or give one recording: --wav FILE.",
        )


def _take_part(device: Device, settings: RunSettings, *, as_told: bool) -> "Companion":
    """Take part in a federation while listening."""
    from edge_client.federation.taking_part import Companion, as_member

    state = DeviceFolder(settings.folder)
    federation, membership = as_member(settings.part(FederationSettings), state)
    folder = state.federations / settings.federation
    return Companion(device, federation, folder, membership=membership, as_told=as_told)


def _recognise_words(device: Device, settings: RunSettings, words: str, stack: ExitStack) -> None:
    """Recognise what is said beside how, or take it from who does."""
    from edge_client.words.recognising import Words, fused_of, recogniser_of, topic_of
    from edge_client.words.settings import MQTT
    from edge_client.words.topic import WordsTopic

    recognised = Words(device, recogniser_of(words), fused_of(settings, device))
    stack.enter_context(closing(recognised))
    if words.startswith(MQTT):
        say = partial(device.say, "words")
        stack.enter_context(closing(WordsTopic(*topic_of(words), recognised.take, say)))


def _listen(device: Device, settings: RunSettings, stack: ExitStack) -> Listener:
    if settings.words:  # behind whoever looks on: an utterance is told before its words
        _recognise_words(device, settings, settings.words, stack)
    kind: Literal["mic", "wav"] = "mic" if settings.mic else "wav"
    make_segmenter = partial(Segmenter, settings.part(HearingSettings))
    listener = Listener(device, partial(open_source, settings), make_segmenter, kind)
    stack.enter_context(closing(listener))
    return listener


def _show(device: Device, settings: RunSettings, stack: ExitStack) -> None:
    """Let the person see and label what is heard, in the terminal, until they end it."""
    from edge_client.faces.keys import Keys
    from edge_client.faces.terminal import TerminalView

    if sys.stderr.isatty():
        # PortAudio and ALSA write there by themselves; what Python writes, the view shows.
        stack.enter_context(hushed())
    listener = _listen(device, settings, stack)

    def go_on() -> None:
        listener.wait(0)
        device.look()

    view = TerminalView(device, answer_console(), words=settings.show_words)
    keys = stack.enter_context(Keys())
    try:
        view.show(keys, go_on)
    except OSError:
        if not keys.gone:
            raise
        write_no_more()  # nobody looks on any more: it ends as by their key


def _print_all(device: Device, settings: RunSettings, stack: ExitStack) -> None:
    """Print what is heard, one line each, until the recording ends; with a page, for ever."""
    lines: queue.SimpleQueue[Line] = queue.SimpleQueue()

    def note(event: DeviceEvent) -> None:
        if event.kind in ("heard", "words") and event.recognition:
            asked = settings.show_words and event.kind == "words"
            words = device.words(event.recognition.identifier) if asked else None
            lines.put((event.recognition, device.status()["first_minute"], words))

    stack.callback(device.subscribe(note))
    listener = _listen(device, settings, stack)
    ended = False
    while not ended or settings.web:
        ended = listener.wait(0 if ended else _LOOK)
        _print(lines, as_json=settings.headless, wait=_LOOK if ended else 0)
        device.look()


def open_source(
    settings: RunSettings, on_event: OnEvent, before: SoundSource | None
) -> SoundSource:
    """Open the microphone or the recording that the settings ask for, or what was open before."""
    from edge_client.hearing.microphone import Microphone
    from edge_client.hearing.recording import Recording

    if isinstance(before, Microphone):
        return before.anew()
    channel = settings.channel
    if settings.wav is not None:
        return Recording(settings.wav, fast=settings.fast, channel=channel, on_event=on_event)
    return Microphone(
        settings.device,
        rate=settings.rate,
        channel=channel,
        on_event=on_event,
        waits=settings.headless,
    )


def _print(lines: "queue.SimpleQueue[Line]", *, as_json: bool, wait: float) -> None:
    """Print what was heard meanwhile, one line each; and one more when its words are known."""
    from edge_client.faces.terminal import line

    while True:
        try:
            heard, first_minute, words = lines.get(timeout=wait) if wait else lines.get_nowait()
        except queue.Empty:
            return
        facts = {**heard.to_dict(), "first_minute": first_minute}
        facts |= {"words": words} if words else {}
        sys.stdout.write((json.dumps(facts) if as_json else line(heard, words)) + "\n")
        sys.stdout.flush()


def appearance(
    settings: RunSettings | AppearanceSettings,
    home: HomeAssistantSettings,
    page: str | None = None,
) -> "Appearance":
    """Say as what a device appears in Home Assistant, where its page is at an address, or none."""
    from edge_client.faces.home_assistant import Appearance

    return Appearance(_name(settings), settings.federation, home.discovery_prefix, page)


def _name(settings: RunSettings | AppearanceSettings) -> str:
    """Give what people see as the device's name: what it has joined its federation with, if so."""
    from edge_client.enrolment.membership import Membership

    place = DeviceFolder(settings.folder).memberships / settings.federation
    membership = Membership.find(place)
    return membership.joined.name if membership else settings.name


def _serve(device: Device, settings: RunSettings, address: str, stack: ExitStack) -> str | None:
    """Serve the page; give its address for other machines, without the token."""
    from edge_client.web.server import serve
    from shared.web.access import kept_token
    from shared.web.link import show_link

    host, port = split_address(address, WEB_PORT)
    token = kept_token(DeviceFolder(settings.folder).token)
    server = serve(device, host, port, name=_name(settings), token=token)
    stack.enter_context(closing(server))
    show_link(server.address)
    return None if is_loopback(host) else server.address.partition("?")[0]


def _end(*_: object) -> NoReturn:
    """End in good order, as a service or a person at a terminal wants it; the next time at once."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    raise SystemExit(0)

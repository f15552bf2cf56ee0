"""``edge-client run``: puts the device together with what it hears by and shows itself in."""

import json
import queue
import signal
import sys
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from edge_client.device.device import Device, Event
from edge_client.device.learning import Learning
from edge_client.device.listening import Listener
from edge_client.device.settings import DeviceSettings, RunSettings, split_address
from edge_client.device.state import StateFolder
from edge_client.federation.settings import FederationSettings, name_of_host
from edge_client.hearing.segmentation import Segmenter
from edge_client.hearing.settings import HearingSettings
from edge_client.hearing.source import OnEvent, Source
from shared.broker_settings import PLAIN_PORT, BrokerSettings
from shared.command import progress_console
from shared.errors import AudioError, SettingsError

if TYPE_CHECKING:
    from edge_client.device.recognition import Recognition
    from edge_client.federation.taking_part import Companion

_LOOK: Final = 0.2
"""Seconds between looks whether the listening has ended."""

_WEB_PORT: Final = 8765


def run_device(settings: RunSettings) -> None:
    """Listen until the person ends it, or the recording ends.

    Raises
    ------
    ChorusError
        Whatever keeps it from listening. Everything kept before stays.
    """
    if settings.wav is not None and not settings.wav.exists():
        raise AudioError(f"There is no recording {settings.wav}.", "Check the name.")
    if settings.wav is not None and is_labelled(settings.wav):
        _take_part_with_clips(settings, settings.wav)
        return
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        device = stack.enter_context(Device(settings.part(DeviceSettings)))
        if device.problem:
            _remark(device.problem)
        if device.weights() is None:
            _remark(
                "There is no model yet: what is heard is kept, to be labelled. "
                + (
                    "Give one with --weights FILE."
                    if settings.offline
                    else "It comes from the federation."
                )
            )
        stack.enter_context(closing(Learning(device)))
        if not settings.offline:
            stack.enter_context(_take_part(device, settings))
        if settings.home_assistant:
            from edge_client.home_assistant import HomeAssistant

            stack.enter_context(closing(HomeAssistant(device, _home_broker(settings))))
        if settings.web:
            _serve(device, settings.web, stack)
        _hear(device, settings, stack)


def is_labelled(wav: Path) -> bool:
    """Say whether ``--wav`` names labelled clips, not one recording."""
    return wav.is_dir() or wav.suffix.lower() == ".csv"


def _take_part_with_clips(settings: RunSettings, clips: Path) -> None:
    """Take part in a federation without listening."""
    if settings.offline:
        raise SettingsError(
            f"{clips} holds labelled clips, which are for a federation.",
            "Leave out --offline, or give one recording: --wav FILE.",
        )
    from edge_client.federation.taking_part import take_part_with_clips

    # Several may run on one machine without further settings: one for each folder of clips.
    federation = settings.part(FederationSettings)
    if federation.client is None:
        name = name_of_host(f"{federation.name}-{clips.resolve().stem}")
        federation = federation.model_copy(update={"client": name})
    state = StateFolder(settings.state or settings.folder / "clips" / federation.name)
    with state.taken():
        take_part_with_clips(federation, clips, state.federations / federation.federation)


def _take_part(device: Device, settings: RunSettings) -> "Companion":
    """Take part in a federation while listening."""
    from edge_client.federation.taking_part import Companion

    folder = StateFolder(settings.folder).federations / settings.federation
    return Companion(device, settings.part(FederationSettings), folder)


def _hear(device: Device, settings: RunSettings, stack: ExitStack) -> None:
    kind: Literal["mic", "wav"] = "mic" if settings.mic else "wav"
    make_segmenter = partial(Segmenter, settings.part(HearingSettings))
    lines: queue.SimpleQueue[Recognition] = queue.SimpleQueue()

    told = device.problem

    def note(event: Event) -> None:
        nonlocal told
        if event.kind == "heard" and event.recognition:
            lines.put(event.recognition)
            if device.problem and device.problem != told:
                _remark(device.problem)
            told = device.problem

    shown = not settings.headless and sys.stdin.isatty() and sys.stdout.isatty()
    if not shown:
        stack.callback(device.subscribe(note))
    listener = Listener(device, partial(open_source, settings), make_segmenter, kind)
    stack.enter_context(closing(listener))
    if shown:
        from rich.console import Console

        from edge_client.device.keys import Keys
        from edge_client.device.terminal import TerminalView

        view = TerminalView(device, Console(highlight=False))
        view.show(stack.enter_context(Keys()), partial(listener.wait, 0))
        return
    ended = False
    while not ended or settings.web:
        ended = listener.wait(0 if ended else _LOOK)
        _print(lines, as_json=settings.headless, wait=_LOOK if ended else 0)


def open_source(settings: RunSettings, on_event: OnEvent) -> Source:
    """Open the microphone or the recording that the settings ask for."""
    if settings.wav is not None:
        from edge_client.hearing.recording import Recording

        return Recording(
            settings.wav, fast=settings.fast, channel=settings.channel, on_event=on_event
        )
    from edge_client.hearing.microphone import Microphone

    return Microphone(
        settings.device, rate=settings.rate, channel=settings.channel, on_event=on_event
    )


def _print(lines: "queue.SimpleQueue[Recognition]", *, as_json: bool, wait: float) -> None:
    """Print what was heard meanwhile, one line each."""
    from edge_client.device.terminal import line

    while True:
        try:
            heard = lines.get(timeout=wait) if wait else lines.get_nowait()
        except queue.Empty:
            return
        sys.stdout.write((json.dumps(heard.to_dict()) if as_json else line(heard)) + "\n")
        sys.stdout.flush()


def _serve(device: Device, address: str, stack: ExitStack) -> None:
    from edge_client.web.link import qr_code
    from edge_client.web.server import serve

    server = serve(device, *split_address(address, _WEB_PORT))
    stack.enter_context(closing(server))
    _remark(f"The page: {server.address}")
    if sys.stderr.isatty():
        _remark(qr_code(server.address))


def _home_broker(settings: RunSettings) -> BrokerSettings:
    host, port = split_address(settings.home_assistant or "", PLAIN_PORT)
    return BrokerSettings.parse(
        {
            "broker": host,
            "port": port,
            "username": settings.home_assistant_username,
            "password_file": settings.home_assistant_password_file,
        }
    )


def _remark(text: str) -> None:
    progress_console().print(text, soft_wrap=True, markup=False)


def _end(*_: object) -> NoReturn:
    """End as a service ends that was asked to: everything is closed, and all is well."""
    raise SystemExit(0)

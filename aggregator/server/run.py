"""Puts a federation, its broker and its service together, and says what they do."""

import logging
import shlex
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from aggregator.ledger import Version
from aggregator.rounds.federation import Federation
from aggregator.rounds.scoring import scores_of
from aggregator.rounds.validation import Validation, validation_clips, validation_examples
from aggregator.server.by_invitation import ByInvitation, broker_of, is_named, port_of, prepare
from aggregator.server.screen import Screen, ended, look, of_last
from aggregator.server.service import STORAGE_RETRY, Service
from aggregator.server.settings import ServeSettings
from aggregator.server.steering import Steering
from aggregator.settings import FRESH, PACKAGED, is_name_of
from shared.command import log_to_stderr, progress_console
from shared.errors import StorageError
from shared.inference import Inference
from shared.mqtt.addresses import is_everywhere, split_address
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.frames import OVERHEAD
from shared.protocol.messages import LARGEST_MESSAGE
from shared.starter import STARTER_TASK
from shared.task import options_for
from shared.weights import fresh_weights

_WEB_PORT: Final = 8766

log = logging.getLogger(__name__)

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def serve(
    settings: ServeSettings,
    *,
    make: Callable[..., Service] = Service,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Serve a federation until its last round, or until stopped by a signal.

    Parameters
    ----------
    settings
        Everything of the command.
    make
        Makes the service.
    sleep
        Waits so many seconds, while the disk is full.

    Raises
    ------
    FederationError
        If another process serves it, it was begun with other settings, or it is damaged.
    BrokerError
        If the broker does not let the aggregator in, or the embedded one cannot be what was asked
        for.
    """
    console = progress_console()
    with ExitStack() as stack:
        log_to_stderr()
        federation = _opened(settings, sleep, stack)
        entrance = prepare(settings, federation.folder) if settings.by_invitation else None
        if entrance:
            stack.enter_context(entrance.members)
        if settings.embedded_broker:
            largest = max(LARGEST_MESSAGE, settings.chunk + OVERHEAD)
            own = EmbeddedBroker(
                settings.part(EmbeddedBrokerSettings),
                port_of(settings),
                largest,
                entrance and entrance.accounts,
            )
            stack.enter_context(own)
        serving = _Serving(settings, federation, make, entrance)
        if settings.web:
            # Before the screen, which would be drawn over the link.
            _serve_page(settings, federation, serving.service.steering, stack)
        if console.is_terminal and not console.is_dumb_terminal:
            console.print(_begins(settings, federation), soft_wrap=True)
            serving.screen = stack.enter_context(Screen(federation, console))
            for handler in logging.getLogger().handlers:
                handler.addFilter(serving.screen.filter)
        else:
            log.info("%s", _begins(settings, federation))
        serving.run()
        after = _ends(settings, federation)
    if serving.screen:
        console.print(after, soft_wrap=True)
    else:
        log.info("%s", after)


def _opened(
    settings: ServeSettings, sleep: Callable[[float], object], stack: ExitStack
) -> Federation:
    """Open the federation, with what scores each new model if there is a corpus to do it with."""
    clips = validation_clips(settings, settings.task)  # before anything is begun: it may be missing
    federation = stack.enter_context(_once_there_is_room(settings, sleep))
    if clips:
        examples = validation_examples(clips, settings, settings.task, federation.start)
        architecture = federation.architecture
        inference = Inference(architecture, fresh_weights(architecture, settings.seed))
        federation.validate = Validation(examples, inference, settings.task)
    return federation


def _once_there_is_room(settings: ServeSettings, sleep: Callable[[float], object]) -> Federation:
    """Open the federation; while the disk is full, wait until there is room."""
    said = False
    while True:
        try:
            return Federation(settings)
        except StorageError as error:
            if not error.full:
                raise
            if not said:
                log.error("%s", error.awaited)  # noqa: TRY400 -- a full disk
            said = True
        sleep(STORAGE_RETRY)


class _Serving:
    """The service, with somebody who looks on."""

    def __init__(
        self,
        settings: ServeSettings,
        federation: Federation,
        make: Callable[..., Service],
        entrance: ByInvitation | None,
    ) -> None:
        self._settings = settings
        self._federation = federation
        self.screen: Screen | None = None
        self._told = ""
        self._bid_farewell = False
        self.service = make(
            federation,
            entrance.broker if entrance else broker_of(settings),
            on_round=self._round_ended,
            on_change=self._say_who_is_waited_for,
            members=entrance and entrance.members,
        )

    def run(self) -> None:
        for number in _STOPS:
            signal.signal(number, lambda *_: self.service.stop())
        self.service.run(forever=self._settings.stay)
        # It ends now in any case. Python puts handlers of its own back before it has ended, and a
        # signal then would make a good end look like a bad one.
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)

    def _round_ended(self, number: int, version: Version | None) -> None:
        if self.screen:
            self.screen.end_round(number)
        if found := ended(self._federation, number):
            names = self._settings.task.names
            scores = scores_of(version.validation, names) if version else None
            corpus = self._settings.validation_corpus
            score = f" Its model's UAR on {corpus} is {scores.uar:.3f}." if scores else ""
            log.info("%s%s", found.line, score)

    def _say_who_is_waited_for(self) -> None:
        state = look(self._federation, time.monotonic())
        if not self.screen and state.waiting != self._told:
            self._told = state.waiting
            if self._told:
                log.info("%s", self._told)
        if state.phase == "finished" and state.ready and not self._bid_farewell:
            self._bid_farewell = True
            log.info("Round %d was the last; devices fetch its model now.", state.number)


def _serve_page(
    settings: ServeSettings,
    federation: Federation,
    steering: Steering,
    stack: ExitStack,
) -> None:
    """Serve the operator's page until the federation is served no more."""
    from aggregator.web.server import serve as serve_page
    from shared.web.link import show_link

    page = serve_page(
        federation.folder,
        lambda: look(federation, time.monotonic()),
        steering,
        *split_address(settings.web or "", _WEB_PORT),
        by_invitation=settings.by_invitation,
        name_devices=settings.metrics_devices,
    )
    stack.enter_context(closing(page))
    show_link(page.address)


def _begins(settings: ServeSettings, federation: Federation) -> str:
    """Say what is served, where it is kept, and how devices come in."""
    rounds = federation.rounds
    what = f"Federation {settings.federation}: {settings.model}, {settings.strategy}, "
    what += f"round {of_last(rounds.number, settings.rounds)}; "
    what += f"everything is kept in {settings.folder}."
    if settings.secure:
        what += f" Its rounds are secure: it learns sums of {settings.at_least} updates or more."
    if federation.private:
        _, spent = federation.ledger.charges()
        what += f" {federation.private.said} Spent: epsilon {spent:.3g}."
    if rounds.phase == "finished":
        return f"{what} Its last round has ended."
    if not rounds.ended:
        what += f" It begins with {_first_model(settings.initial)}."
    if settings.by_invitation:
        return f"{what} `aggregator invite NAME{_folder(settings)}` invites a device."
    return f"{what} A device takes part with `{_device_command(settings)}` (or --mic)."


def _folder(settings: ServeSettings) -> str:
    """Write the option that lets another command look where this one keeps everything."""
    return f" --state {shlex.quote(str(settings.state))}" if settings.state else ""


def _first_model(initial: Path | None) -> str:
    """Name what the first round starts from."""
    if initial is None or is_name_of(initial, FRESH):
        return "random weights"
    return "the starter of the package" if is_name_of(initial, PACKAGED) else str(initial)


def _device_command(settings: ServeSettings) -> str:
    broker = settings.broker
    host, port = broker.address
    if settings.embedded_broker and not is_named(broker):
        listen = settings.listen
        host = socket.gethostname() if is_everywhere(listen) else listen
    words = ["edge-client run --clips DIR"]
    if broker.transport != "tcp":
        scheme = "wss" if broker.tls else "ws"
        words.append(f"--broker {scheme}://{host}:{port}{broker.path}")
    elif host != BrokerSettings.model_fields["host"].default:
        words.append(f"--broker {host}")
    if broker.port is not None and broker.transport == "tcp":
        words.append(f"--port {port}")
    if broker.tls and broker.transport == "tcp":
        words.append("--tls")
    if broker.ca_file:
        words.append(f"--ca-file {shlex.quote(broker.ca_file.name)}")
    if broker.password_file:
        words.append("--password-file FILE")  # one of its own
    if settings.federation != ServeSettings.model_fields["federation"].default:
        words.append(f"--federation {settings.federation}")
    if options := options_for(settings.task, STARTER_TASK):
        words.append(options)
    return " ".join(words)


def _ends(settings: ServeSettings, federation: Federation) -> str:
    """Say how to go on."""
    state = look(federation, time.monotonic())
    if state.phase != "finished":
        number = of_last(state.number, settings.rounds)
        where = f"Stopped {'before' if state.phase == 'waiting' else 'in'} round {number}"
        return f"{where}; the same command goes on from there."
    further = (
        "more --rounds go on from it"
        if settings.dp_epsilon is None
        else "no round follows it, as the privacy budget is used up"
    )
    return (
        f"Round {state.number} was the last: `aggregator models export{_folder(settings)}` "
        f"writes its model, {further}, --stay hands it to devices that come later."
    )

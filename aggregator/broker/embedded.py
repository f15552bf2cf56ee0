"""A broker inside ``aggregator serve``, for a first try, in a process of its own.

Its own process, because it is Python all through: in a thread it would hold up the aggregator for
every chunk that passes. It lives as long as the aggregator, however that ends, and is started again
if it ends by itself. For a shelf of devices there is Mosquitto (``deploy/mosquitto``).
"""

import contextlib
import errno
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

from pydantic import Field, field_validator, model_validator

from shared.errors import BrokerError
from shared.mqtt.addresses import is_everywhere, is_loopback
from shared.mqtt.backoff import Backoff
from shared.mqtt.broker_settings import PLAIN_PORT
from shared.settings import Settings

if TYPE_CHECKING:
    from aggregator.broker.accounts import AccountsAt

log = logging.getLogger(__name__)

_PREDECESSOR: Final = 5.0
"""Seconds that the broker of an aggregator which was killed is given to free the port."""

_NO_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What a machine says of an address that is another's, or of a kind that it has not."""

_PAUSE: Final = 1.0
"""Seconds, at most, before a broker that ended by itself is started again; longer and longer while
it ends at once each time."""

_SERVE: Final = (
    "from aggregator.broker.parent import end_with_parent; end_with_parent(); "
    "from aggregator.broker.process import main; main()"
)
"""What the broker's process runs: first what ends it with the aggregator. The rest takes seconds to
import on a busy machine, and an aggregator that is killed meanwhile leaves the port to the next."""

_END: Final = 10.0
"""Seconds within which the broker's process ends when asked."""


class EmbeddedBrokerSettings(Settings):
    """The aggregator's own broker."""

    panel: ClassVar[str] = "Embedded broker"
    gone: ClassVar[Mapping[str, str]] = {
        "passwords": "The embedded broker is for a first try: with a password, any device could "
        "still announce rounds and read others' updates. Use Mosquitto with the access rules of "
        "deploy/mosquitto."
    }

    embedded_broker: bool = False
    """Bring a broker along, instead of connecting to one: for a first try, or with --by-invitation
    for a few devices, which have TLS and accounts then."""
    listen: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    """Address that the embedded broker listens on; its port is --port. 0.0.0.0 stands for all
    of this machine's IPv4 addresses, :: for these and those of IPv6."""
    insecure: bool = False
    """Let everybody on the network use the embedded broker, if --listen allows them to reach it."""

    @field_validator("listen")
    @classmethod
    def _without_brackets(cls, listen: str) -> str:
        """Take an address as it stands before a port, too."""
        return listen[1:-1] if re.fullmatch(r"\[.+\]", listen) else listen

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.embedded_broker:
            for name in ("listen", "insecure"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name} is for --embedded-broker")
        return self


class EmbeddedBroker:
    """A broker that can be started and stopped.

    Parameters
    ----------
    settings
        Who may use it, and from where.
    port
        Where it listens; 0 for a free one.
    largest
        Bytes of a message at most; those of the protocol's largest if not given. Who sends more is
        cut off.
    accounts
        Where those are who may use it; everybody may, if not given. With accounts it speaks TLS.

    Attributes
    ----------
    port
        Where it listens, once started.

    Raises
    ------
    BrokerError
        If it would let in anybody from another machine.
    """

    def __init__(
        self,
        settings: EmbeddedBrokerSettings,
        port: int = PLAIN_PORT,
        largest: int | None = None,
        accounts: "AccountsAt | None" = None,
    ) -> None:
        if not (accounts or is_loopback(settings.listen) or settings.insecure):
            raise BrokerError(
                f"An embedded broker on {settings.listen} would accept everybody who reaches it.",
                "Say --by-invitation, leave out --listen, use Mosquitto (deploy/mosquitto), or say "
                "--insecure.",
            )
        self._accounts = accounts
        self.settings = settings
        self.port = port
        if largest is None:
            from shared.protocol.messages import LARGEST_MESSAGE  # --help does without messages

            largest = LARGEST_MESSAGE
        self._largest = largest
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff(_PAUSE)
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep_running, name="broker", daemon=True)

    def start(self) -> None:
        """Listen, and serve from a new process.

        Raises
        ------
        BrokerError
            If the port is taken, or the address is not this machine's, which may have no IPv6.
        """
        self._socket = self._listening()
        self.port = self._socket.getsockname()[1]
        self._process = self._new_process(self._socket)
        self._watch.start()

    def stop(self) -> None:
        """End the broker; its retained messages are gone."""
        self._stopping.set()
        if self._socket:
            self._socket.close()
        if self._process and self._process.stdin:
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END)
            self._process.kill()
        if self._watch.ident is not None:
            self._watch.join(_END)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listening(self) -> socket.socket:
        family, address = self._address()
        both = family == socket.AF_INET6 and is_everywhere(self.settings.listen)
        place = f"{self.settings.listen}, port {self.port}"
        if both and not socket.has_dualstack_ipv6():
            raise BrokerError(
                f"The embedded broker cannot listen on {place}: this machine has no IPv6.",
                "Give --listen 0.0.0.0, which stands for all of its IPv4 addresses.",
            )
        end = time.monotonic() + _PREDECESSOR
        while True:
            try:
                return socket.create_server(address, family=family, dualstack_ipv6=both)
            except OSError as error:
                if isinstance(error, PermissionError):
                    raise BrokerError(
                        f"The embedded broker may not listen on {place}.",
                        "Give it another port with --port (1024 or above).",
                    ) from error
                if error.errno in _NO_ADDRESS:
                    raise self._no_address() from error
                if time.monotonic() > end:
                    reason = os.strerror(error.errno or 0)
                    raise BrokerError(
                        f"The embedded broker cannot listen on {place}: {reason}.",
                        "If a broker runs there already, leave out --embedded-broker to use it; "
                        "else give another --port.",
                    ) from error
                time.sleep(0.1)

    def _address(self) -> tuple[socket.AddressFamily, Any]:
        """Look up where to listen; of a name that has both kinds of addresses, at IPv4."""
        listen = self.settings.listen
        try:
            found = socket.getaddrinfo(listen, self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, ValueError) as error:  # also what no name can hold
            raise self._no_address() from error
        family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        return family, address

    def _no_address(self) -> BrokerError:
        return BrokerError(
            f"There is no address {self.settings.listen} for the embedded broker.",
            "Give --listen an address or a name of this machine; its port is --port.",
        )

    def _new_process(self, listening: socket.socket) -> subprocess.Popen[bytes]:
        # A session of its own keeps Ctrl-C from it: the aggregator takes leave first. It ends when
        # its standard input does, which this process holds open. -P: else Python would look for
        # modules in the folder one is in first, say in a checkout of another version.
        self._backoff.connected()
        return subprocess.Popen(  # noqa: S603 - our own module
            [
                *(sys.executable, "-P", "-c", _SERVE),
                *(str(listening.fileno()), str(self._largest)),
                *map(str, self._accounts or ()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )

    def _keep_running(self) -> None:
        while self._process and self._socket:
            code = self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
            process = self._start_again(self._socket, f"ended by itself ({code})")
            if process is None:
                return
            self._process = process
            if self._stopping.is_set() and process.stdin:
                process.stdin.close()

    def _start_again(self, listening: socket.socket, why: str) -> subprocess.Popen[bytes] | None:
        """Start another process, however often that fails; ``None``: it is to stop."""
        while not self._stopping.is_set():
            pause = self._backoff.next()
            log.error("The embedded broker %s; it is started again in %.2g s.", why, pause)
            if self._stopping.wait(pause):
                break
            try:
                return self._new_process(listening)
            except OSError as error:  # memory or descriptors, of which there may be some again
                why = f"could not be started ({error.strerror})"
        return None

"""Where the broker is, and how to be let in."""

import hashlib
import socket
import ssl
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.errors import BrokerError
from shared.mqtt.addresses import LOCAL, split_address, split_url
from shared.mqtt.pinned import ClosingSocket, pinned_context
from shared.settings import Settings
from shared.storage.files import may_wait

PLAIN_PORT: Final = 1883
"""Registered for MQTT."""

TLS_PORT: Final = 8883
"""Registered for MQTT over TLS."""

_PORTS: Final = {
    ("tcp", False): PLAIN_PORT,
    ("tcp", True): TLS_PORT,
    ("websockets", False): 80,
    ("websockets", True): 443,
}

_LONGEST_PASSWORD: Final = 1 << 12

HostName = Annotated[str, Field(min_length=1, max_length=253)]


class BrokerSettings(Settings):
    """How to reach the MQTT broker."""

    panel: ClassVar[str] = "Broker"
    own_option: ClassVar[str] = "host"

    host: HostName = LOCAL
    """Where the MQTT broker is: HOST or HOST:PORT; or mqtt://, mqtts:// (with TLS), ws:// or wss://
    (over websockets) before it, which say tls and transport, and behind it a websockets' path."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Its port; 1883 if not given, with TLS 8883, over websockets 80 and 443."""
    transport: Literal["tcp", "websockets"] = "tcp"
    """tcp, or websockets, where only web servers can be reached."""
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024)] = "/mqtt"
    """Path of the broker at the web server, over websockets."""
    username: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """User name at the broker; if only a password is given, the client's identifier
    (in a federation `FEDERATION_NAME`)."""
    password_file: Path | None = None
    """File with the password in its first line. Passwords are given in files only, as options and
    the environment can be read by other processes."""
    tls: bool = False
    """Encrypt, and check the broker's certificate."""
    ca_file: Path | None = None
    """Certificate (PEM) of the authority that the broker's must be signed by; the system's
    authorities if not given."""
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the broker's certificate, in hexadecimal: it is known by that alone, whatever its
    authority, name and dates."""
    certificate_file: Path | None = None
    """Own certificate (PEM), where the broker asks for one."""
    key_file: Path | None = None
    """Private key (PEM) of the own certificate, if it is not in the same file."""
    keepalive: Annotated[int, Field(ge=5, le=3600)] = 60
    """Seconds of silence after which either side asks whether the other is still there."""

    @model_validator(mode="before")
    @classmethod
    def _split_host(cls, values: Any) -> Any:
        """Take what may stand before and behind the host."""
        if not isinstance(values, dict) or ":" not in str(values.get("host")):
            return values
        told, address = split_url(str(values["host"]))
        host, port = split_address(address, None)
        if port is not None and values.get("port") is not None:
            raise ValueError("the port is given twice, behind the host and by itself")
        for name, value in told.items():
            if str(values.get(name, value)).lower() != str(value).lower():
                contradicted = f"{name} = {str(values[name]).lower()}"
                raise ValueError(f"{values['host']} contradicts {contradicted}: leave one out")
        port = values.get("port") if port is None else port
        return {**values, **told, "host": host, "port": port}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = (self.ca_file, self.fingerprint, self.certificate_file, self.key_file)
        if not self.tls and any(given):
            raise ValueError("certificates are for TLS: set tls too")
        if self.ca_file and self.fingerprint:
            raise ValueError("a certificate is known by its ca_file or by its fingerprint")
        if self.key_file and not self.certificate_file:
            raise ValueError("a key_file needs the certificate_file it belongs to")
        if self.username and not self.password_file and not self.certificate_file:
            raise ValueError("a username needs a password_file")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or _PORTS[self.transport, self.tls]

    def password(self) -> str | None:
        """Read the password; ``None`` if there is none.

        Raises
        ------
        BrokerError
            If the file cannot be read, or does not begin with a password.
        """
        if self.password_file is None:
            return None
        if may_wait(self.password_file):
            raise BrokerError(f"Cannot read the password file {self.password_file}: it is a pipe.")
        try:
            with self.password_file.open(encoding="utf-8-sig") as file:
                password = file.readline(_LONGEST_PASSWORD).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise BrokerError(
                f"Cannot read the password file {self.password_file}: {reason}.",
                "Look at --password-file, and whether this user may read it.",
            ) from error
        if not password:
            raise BrokerError(
                f"The password file {self.password_file} is empty.",
                "Its first line should be the broker's password for this client.",
            )
        return password

    def tls_context(self) -> ssl.SSLContext | None:
        """Make ready what TLS needs; ``None`` without TLS.

        Raises
        ------
        BrokerError
            If a certificate or key cannot be read.
        """
        if not self.tls:
            return None
        for path in (self.ca_file, self.certificate_file, self.key_file):
            if path and may_wait(path):
                raise BrokerError(f"Cannot use {path}: it is a pipe.", "Give a file of PEM.")
        try:
            if self.fingerprint:
                context = pinned_context(self.fingerprint)
            else:
                context = ssl.create_default_context(cafile=self.ca_file)
                context.sslsocket_class = ClosingSocket
        except (OSError, ssl.SSLError) as error:
            raise _unusable(f"the authority's certificate {self.ca_file}", error) from error
        if self.certificate_file:
            try:
                # A key with a passphrase would make OpenSSL ask the terminal.
                context.load_cert_chain(self.certificate_file, self.key_file, password="")
            except (OSError, ssl.SSLError) as error:
                raise _unusable(
                    f"the own certificate {self.certificate_file} with its key", error
                ) from error
        return context

    def shown_fingerprint(self, timeout: float = 20.0) -> str:
        """Ask the broker for its certificate, and give its SHA-256 in hexadecimal.

        Raises
        ------
        BrokerError
            If the broker does not answer, or its certificate is not accepted.
        """
        context = self.tls_context() or ssl.create_default_context()
        host, port = self.address
        try:
            with (
                socket.create_connection(self.address, timeout) as line,
                context.wrap_socket(line, server_hostname=host) as secured,
            ):
                certificate = secured.getpeercert(binary_form=True) or b""
        except OSError as error:
            raise BrokerError(
                f"The broker {host}:{port} does not show its certificate: "
                f"{error.strerror or error}.",
                "Look whether it runs, and speaks TLS there.",
            ) from error
        return hashlib.sha256(certificate).hexdigest()


def _unusable(what: str, error: OSError) -> BrokerError:
    reason = "it is not PEM as expected" if isinstance(error, ssl.SSLError) else error.strerror
    return BrokerError(f"Cannot use {what}: {reason}.")

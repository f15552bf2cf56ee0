"""Everything of ``edge-client run``: what its parts need, and what it does besides."""

from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import model_validator

from edge_client.device.settings import DeviceSettings
from edge_client.federation.settings import FederationSettings
from edge_client.hearing.settings import HearingSettings

WEB_ADDRESS: Final = "127.0.0.1:8765"
"""What ``--web`` alone stands for."""

_LOCAL: Final = "127.0.0.1"
_LAST_PORT: Final = 65535


class RunSettings(HearingSettings, DeviceSettings, FederationSettings):
    """Everything of ``edge-client run``."""

    panel: ClassVar[str] = "Running"

    mic: bool = False
    """Listen to the microphone."""
    wav: Path | None = None
    """Hear a recording instead, as if it were spoken now; or take part in a federation with a
    folder of clips that are labelled already: in folders named by emotion, or a manifest (CSV)."""
    fast: bool = False
    """Hear the recording at once, not in real time: the results are the same."""
    offline: bool = False
    """Take part in no federation: recognise, label and learn on this device only."""
    headless: bool = False
    """No view: one line of JSON an utterance on standard output, for other programs."""
    web: str | None = None
    """HOST:PORT: serve a page to label from a phone; `--web` alone means 127.0.0.1:8765, which
    only this machine reaches, 0.0.0.0:8765 the whole network."""
    home_assistant: str | None = None
    """HOST or HOST:PORT of a broker that Home Assistant uses: appear there as a sensor."""
    home_assistant_username: str | None = None
    """Who to be to that broker."""
    home_assistant_password_file: Path | None = None
    """File with the password in its first line."""
    home_assistant_tls: bool = False
    """Encrypt the connection to that broker, and check its certificate."""
    home_assistant_ca_file: Path | None = None
    """Certificate (PEM) of the authority that it must be signed by; the system's authorities if
    not given."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.mic == (self.wav is not None):
            raise ValueError("say what to hear: --mic, or --wav FILE")
        if self.fast and self.wav is None:
            raise ValueError("only a recording can be heard fast (--wav FILE)")
        for address in (self.web, self.home_assistant):
            if address is not None:
                split_address(address, 0)
        return self


def split_address(address: str, port: int) -> tuple[str, int]:
    """Split ``HOST:PORT``, ``HOST``, ``:PORT`` or ``[IPv6]:PORT``.

    Parameters
    ----------
    address
        What was given.
    port
        What to take where no port is given.

    Raises
    ------
    ValueError
        If the port is not one.
    """
    host, colon, number = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return address.strip("[]") or _LOCAL, port
    if not number.isascii() or not number.isdigit() or int(number) > _LAST_PORT:
        raise ValueError(f"{address} should be HOST:PORT, with a port up to {_LAST_PORT}")
    return host.strip("[]") or _LOCAL, int(number)

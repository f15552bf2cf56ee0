"""Who may see the page: whoever has its link, from the page itself."""

import hashlib
import hmac
import re
import secrets
import socket
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from shared.errors import SettingsError
from shared.storage.files import read_small

SHORTEST_TOKEN: Final = 16
"""Characters. A shorter one could be guessed by asking."""


LASTING: Final = 365 * 24 * 3600
"""Seconds for which a browser is let in after its last visit."""


def kept_token(path: Path) -> str:
    """Give the token of earlier starts, so that links and bookmarks stay good; or draw one.

    Parameters
    ----------
    path
        Where it is kept. If it cannot be, on a full disk, the token is good for this start only.
    """
    with suppress(OSError):
        kept = read_small(path)
        if re.fullmatch(rb"[\w-]{22}", kept):
            return kept.decode()
    token = secrets.token_urlsafe(16)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        path.touch(0o600, exist_ok=False)
        path.write_text(token)
    return token


class Access:
    """Decides about requests.

    Parameters
    ----------
    token
        What the link holds; drawn (128 bits) if not given.
    host
        The name or address that the server listens at.

    Raises
    ------
    SettingsError
        If the token is too short.
    """

    def __init__(self, token: str | None, host: str) -> None:
        self.token = secrets.token_urlsafe(16) if token is None else token
        if len(self.token) < SHORTEST_TOKEN:
            raise SettingsError(
                f"The token of the page has {len(self.token)} characters.",
                f"Give at least {SHORTEST_TOKEN}, or none: then one is drawn.",
            )
        # Not the token itself, which could hold what a cookie cannot.
        self._pass = hashlib.sha256(b"cookie " + self.token.encode()).hexdigest()
        own = socket.gethostname().lower()
        self._names = {host.lower(), "localhost", own, f"{own}.local"}

    def token_fits(self, given: str) -> bool:
        """Compare a token, in a time that does not depend on where it differs."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def cookie(self, port: int) -> str:
        """Write the cookie that lets a browser in; each visit prolongs it.

        The port is in its name because cookies do not tell ports apart, but a machine can have
        several devices' pages, as with forwarded ports.
        """
        return f"chorus-{port}={self._pass}; Max-Age={LASTING}; HttpOnly; SameSite=Strict; Path=/"

    def cookie_fits(self, cookies: str, port: int) -> bool:
        """Look for the cookie in a ``Cookie`` header."""
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == f"chorus-{port}":
                return hmac.compare_digest(value.encode(), self._pass.encode())
        return False

    def host_is_ours(self, host: str) -> bool:
        """Whether a ``Host`` header names this machine.

        A page of someone else can give its own name our address (DNS rebinding) and would then be
        taken for ours by a browser. It cannot do so with an address, nor with these names.
        """
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() in self._names:
            return True
        try:
            ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    @staticmethod
    def origin_is_ours(origin: str, host: str) -> bool:
        """Whether a request that changes something comes from our page; all browsers tell."""
        return origin == f"http://{host}"

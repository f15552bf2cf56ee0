"""Addresses as people write them."""

from typing import Final, TypeVar

LOCAL: Final = "127.0.0.1"
"""This machine, for itself alone."""

_LAST_PORT: Final = 65535

Port = TypeVar("Port", int, None)


def split_address(address: str, port: Port) -> tuple[str, int | Port]:
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
        return address.strip("[]") or LOCAL, port
    if not number.isascii() or not number.isdigit() or int(number) > _LAST_PORT:
        raise ValueError(f"{address} should be HOST:PORT, with a port up to {_LAST_PORT}")
    return host.strip("[]") or LOCAL, int(number)

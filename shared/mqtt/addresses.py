"""Addresses as people write them."""

import socket
from ipaddress import ip_address
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


def outward_address() -> str:
    """Find this machine's address in its network, or its name if there is none."""
    # A UDP socket is told its route without anything being sent. The address is one of those
    # set aside for documentation (RFC 5737): any that is not ours will do.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return f"{socket.gethostname()}.local"
        address: str = probe.getsockname()[0]
        return address


def is_loopback(address: str) -> bool:
    """Say whether nobody but this machine reaches an address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"

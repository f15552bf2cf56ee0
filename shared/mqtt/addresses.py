"""Addresses as people write them."""

import socket
from ipaddress import ip_address
from typing import Any, Final, TypeVar

LOCAL: Final = "127.0.0.1"
"""This machine, for itself alone."""

_LAST_PORT: Final = 65535

_SCHEMES: Final = {
    "mqtt": ("tcp", False),
    "mqtts": ("tcp", True),
    "ws": ("websockets", False),
    "wss": ("websockets", True),
}
"""What the schemes of MQTT's URLs say: the transport, and whether there is TLS."""

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


def split_url(address: str) -> tuple[dict[str, Any], str]:
    """Split what an address says before ``//`` and behind the port.

    Parameters
    ----------
    address
        ``HOST``, ``HOST:PORT``, or a URL of the schemes mqtt, mqtts, ws and wss.

    Returns
    -------
    dict
        Of a URL ``transport`` and ``tls``, over websockets also ``path`` where there is one.
    str
        ``HOST`` or ``HOST:PORT``.

    Raises
    ------
    ValueError
        If it is another URL, holds a user name, or names no host.
    """
    scheme, found, rest = address.partition("://")
    if not found:
        return {}, address
    if scheme.lower() not in _SCHEMES:
        raise ValueError(f"{address} should begin with {', '.join(f'{s}://' for s in _SCHEMES)}")
    transport, tls = _SCHEMES[scheme.lower()]
    host, slash, path = rest.partition("/")
    if "@" in host:
        raise ValueError("give username by itself, and a password in a file (password_file)")
    if not host or host.startswith(":"):
        raise ValueError(f"{address} names no host")
    if path and transport == "tcp":
        raise ValueError(f"{address} has a path, which only websockets have")
    told = {"transport": transport, "tls": tls}
    return (told | {"path": slash + path} if path else told), host


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


def is_everywhere(address: str) -> bool:
    """Say whether what listens there listens at all addresses of the machine."""
    try:
        return ip_address(address).is_unspecified
    except ValueError:
        return False


def reached_from_here(listens: str) -> str:
    """Give the address by which this machine reaches what listens at an address of its own."""
    if not is_everywhere(listens):
        return listens
    return "::1" if ":" in listens else LOCAL


def is_loopback(address: str) -> bool:
    """Say whether nobody but this machine reaches an address."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"

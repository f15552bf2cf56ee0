"""Addresses as people write them."""

import pytest

from shared.mqtt.addresses import split_address


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104 - nothing is bound
        (":80", "127.0.0.1", 80),
        ("pi.local", "pi.local", 7),
        ("[::1]:80", "::1", 80),
        ("::1", "::1", 7),
        ("[::1]", "::1", 7),
    ],
)
def test_addresses_are_split(address: str, host: str, port: int) -> None:
    assert split_address(address, 7) == (host, port)


@pytest.mark.parametrize("address", ["pi:", "pi:x", "pi:65536", "pi:-1", "pi:²"])
def test_what_is_no_port_is_said(address: str) -> None:
    with pytest.raises(ValueError, match="should be HOST:PORT"):
        split_address(address, 7)

"""A client of paho's, set up for one connection to the broker."""

from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties

from shared.mqtt import socket_options
from shared.mqtt.bounded_client import BoundedClient
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.version import Version

_INFLIGHT: Final = 64
"""Messages sent and not acknowledged; paho's own 20 leave the line empty on a long way."""

_CONNECT_TIMEOUT: Final = 20.0
"""Seconds for TCP and TLS each; a Raspberry Pi Zero takes a few for its first handshake."""


def new_client(settings: BrokerSettings, identifier: str, version: Version) -> BoundedClient:
    """Prepare one connection; files are read anew, so that they can be replaced meanwhile.

    Raises
    ------
    BrokerError
        If a password or certificate file cannot be used.
    """
    password, context = settings.password(), settings.tls_context()
    client = _kind_of(settings)(
        CallbackAPIVersion.VERSION2,
        identifier,
        protocol=version.spoken,
        transport=settings.transport,
        reconnect_on_failure=False,
    )
    client.ws_set_options(settings.path)
    client.connect_timeout = _CONNECT_TIMEOUT
    client.max_inflight_messages_set(_INFLIGHT)
    if username := username_of(settings, identifier):
        client.username_pw_set(username, password)
    if context:
        client.tls_set_context(context)
    client.on_socket_open = lambda _client, _data, sock: socket_options.set_up(sock)
    # With this set, threads that publish leave the writing to the network thread.
    client.on_socket_register_write = _leave_to_loop
    return client


def _kind_of(settings: BrokerSettings) -> type[BoundedClient]:
    if settings.transport == "tcp":
        return BoundedClient
    from shared.mqtt.websocket_client import WebsocketClient

    return WebsocketClient


def keep_within(client: mqtt.Client, properties: Properties | None) -> None:
    """Send no more messages at once than the broker has just said that it takes."""
    most = min(client.max_inflight_messages, getattr(properties, "ReceiveMaximum", _INFLIGHT))
    # Paho's own way is closed while there is a connection; nothing has been published over it yet.
    client._max_inflight_messages = most  # noqa: SLF001


def username_of(settings: BrokerSettings, identifier: str) -> str | None:
    """Give the name that belongs to the password; the identifier where settings have none."""
    return settings.username or (identifier if settings.password_file else None)


def _leave_to_loop(_: mqtt.Client, __: Any, ___: Any) -> None:
    return

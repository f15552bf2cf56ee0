"""A client over websockets that holds no more than a packet, and loses no message."""

from contextlib import ExitStack

from shared.mqtt.bounded_client import BoundedClient
from shared.mqtt.websocket import Websocket


class WebsocketClient(BoundedClient):
    """A client over a websocket of ours instead of paho's."""

    def _create_socket(self) -> Websocket:
        with ExitStack() as unless_made:
            sock = self._create_socket_connection()
            unless_made.callback(sock.close)
            if self._ssl:
                sock = self._ssl_wrap_socket(sock)
                unless_made.callback(sock.close)
            name = f"[{self._host}]" if ":" in self._host else self._host
            default = self._port == (443 if self._ssl else 80)
            host = name if default else f"{name}:{self._port}"
            made = Websocket(sock, host, self._websocket_path, self._connect_timeout)
            unless_made.pop_all()
            return made

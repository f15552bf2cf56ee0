"""Keeps what paho-mqtt would lose on a line over websockets that is slow."""

from typing import Any

from shared.mqtt.bounded_client import BoundedClient


class WholeFrames:
    """A websocket of paho's that is asked again for what it has not sent whole.

    Of a frame that the system takes in part only, paho's websocket keeps the rest and says that
    nothing was sent. paho-mqtt 2 then drops the message and takes the next one for it. It keeps a
    message whose sending would block.

    Parameters
    ----------
    websocket
        As paho makes it.
    """

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket

    def send(self, data: bytes | bytearray) -> int:
        """Send a frame; raise :class:`BlockingIOError` while a part of it is left."""
        sent = int(self._websocket.send(data))
        if not sent:
            raise BlockingIOError
        return sent

    def __getattr__(self, name: str) -> Any:
        """Be the websocket in all else."""
        return getattr(self._websocket, name)


class WebsocketClient(BoundedClient):
    """A client over websockets that loses no message."""

    def _create_socket(self) -> Any:
        return WholeFrames(super()._create_socket())

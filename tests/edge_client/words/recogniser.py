"""A recogniser of a person's own, which speaks the Wyoming protocol on a port of this machine."""

import json
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO


class OwnRecogniser:
    """Answers each utterance with the next of some sentences.

    Attributes
    ----------
    sound
        What came of each utterance, 16 bit.
    """

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.sound: list[bytes] = []
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, connection.makefile("rb") as stream:
                    self.sound.append(self._hear(stream))
                    answer = self._answers[(len(self.sound) - 1) % len(self._answers)]
                    connection.sendall(answer)

    def _hear(self, stream: BinaryIO) -> bytes:
        sound = b""
        while line := stream.readline():
            event = json.loads(line)
            sound += stream.read(event["payload_length"])
            if event["type"] == "audio-stop":
                break
        return sound


def transcript(text: str) -> bytes:
    """Write the event of a transcript as Wyoming's own servers do: its data behind the line."""
    data = json.dumps({"text": text}).encode()
    header = {"type": "transcript", "version": "1.7.2", "data_length": len(data)}
    return json.dumps(header).encode() + b"\n" + data

"""Words from a recogniser of the person's own, by the Wyoming protocol.

An event is a line of JSON with its ``type`` and ``data``; ``data_length`` and ``payload_length``
say how many bytes of further data and of sound follow (https://github.com/OHF-Voice/wyoming). The
device sends an utterance, and takes the ``transcript`` that comes back.
"""

import io
import json
import socket
import time
from typing import Any, BinaryIO, Final

import numpy as np

from shared.audio import RATE, Samples
from shared.errors import ChorusError

PATIENCE: Final = 60.0
"""Seconds within which the recogniser has to answer an utterance."""

_LARGEST: Final = 1 << 16
"""Bytes of a line or of data that are believed."""

_MOST_EVENTS: Final = 1000
"""Events that may come before the transcript."""

_FORMAT: Final = {"rate": RATE, "width": 2, "channels": 1}


class WyomingRecogniser:
    """Asks a recogniser on this machine, anew for each utterance.

    Parameters
    ----------
    host, port
        Where it is.
    """

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)

    def words(self, samples: Samples) -> str:
        """Recognise an utterance; see :meth:`edge_client.words.whisper.Whisper.words`.

        Raises
        ------
        ChorusError
            If the recogniser cannot be reached, or gives no transcript.
        """
        try:
            with (
                socket.create_connection(self._place, PATIENCE) as connection,
                connection.makefile("wb") as out,
                io.BufferedReader(_Until(connection, time.monotonic() + PATIENCE)) as answers,
            ):
                _ask(out, samples)
                return answer_of(answers)
        except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ChorusError(
                f"The recogniser at {self._place[0]}:{self._place[1]} gave no transcript: {error}.",
                "Look whether it runs; what is said meanwhile is recognised without words.",
            ) from error


class _Until(io.RawIOBase):
    """Reads from a connection until some time; a byte now and then does not prolong it."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(max(1e-3, self._deadline - time.monotonic()))
        return self._connection.recv_into(buffer)


def _ask(stream: BinaryIO, samples: Samples) -> None:
    sound = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    _send(stream, "transcribe", {})
    _send(stream, "audio-start", _FORMAT)
    for start in range(0, len(sound), _LARGEST):
        _send(stream, "audio-chunk", _FORMAT, sound[start : start + _LARGEST])
    _send(stream, "audio-stop", {})
    stream.flush()


def answer_of(stream: BinaryIO) -> str:
    """Read events up to the transcript, and give its text.

    Raises
    ------
    ValueError, TypeError, OverflowError, RecursionError
        If something is no event of this protocol, or no transcript comes.
    """
    for _ in range(_MOST_EVENTS):
        kind, data = _receive(stream)
        if kind == "transcript":
            if not isinstance(text := data.get("text", ""), str):
                raise TypeError("what was said is no text")
            return text.strip()
    raise ValueError(f"no transcript is among its {_MOST_EVENTS} events")


def _send(stream: BinaryIO, kind: str, data: dict[str, Any], payload: bytes = b"") -> None:
    header = {"type": kind, "data": data, "payload_length": len(payload)}
    stream.write(json.dumps(header).encode() + b"\n" + payload)


def _receive(stream: BinaryIO) -> tuple[str, dict[str, Any]]:
    line = stream.readline(_LARGEST)
    if not line.endswith(b"\n"):
        raise ValueError("it ended the conversation" if not line else "its line is too long")
    header = json.loads(line)
    if not isinstance(header, dict):
        raise TypeError("its line is no object")
    lengths = [int(header.get(name) or 0) for name in ("data_length", "payload_length")]
    if not all(0 <= length <= _LARGEST for length in lengths):
        raise ValueError("its event is too long")
    more, _ = (stream.read(length) for length in lengths)
    data = {**(header.get("data") or {}), **(json.loads(more) if more else {})}
    return str(header.get("type")), data

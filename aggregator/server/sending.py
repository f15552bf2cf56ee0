"""Models from a client's wish to its answer: chunks of the file, or that there is no such file."""

from collections.abc import Callable
from functools import partial
from typing import Final

from aggregator.rounds.federation import Federation
from aggregator.server.attendance import Attendance
from aggregator.server.distribution import Distribution
from aggregator.server.rejections import Rejections
from shared.loop import Loop
from shared.protocol.frames import Chunk
from shared.protocol.messages import Message, Unavailable, Want

_GREEDY: Final = (
    "It asks for the models again and again: from now on it gets a mebibyte a second of them."
)

_MOST_UNAVAILABLE: Final = 10_000
"""Answers in a round that a file is not to be had."""


class Sending:
    """Answers clients that want models.

    Parameters
    ----------
    federation
        Whose models.
    rejections
        Where it is said what is wrong with clients.
    loop
        What it stands on; a worker of its own waits for the network.
    publish
        Publishes a chunk; returns false if it was not sent. May wait for room.
    reply
        Sends a message to a client.
    attendance
        Where it is noted how much a client was sent.
    """

    def __init__(
        self,
        federation: Federation,
        rejections: Rejections,
        *,
        loop: Loop,
        publish: Callable[[Chunk], bool],
        reply: Callable[[str, Message], None],
        attendance: Attendance,
    ) -> None:
        self._federation = federation
        self._reply = reply
        self._attendance = attendance
        self._unavailable: set[tuple[str, str]] = set()
        self._distribution = Distribution(
            publish,
            federation.settings.chunk,
            loop.worker("distribution"),
            clock=loop.clock,
            greedy=partial(rejections.about, sentence=_GREEDY),
        )

    def serve(self) -> None:
        """Let the files of the current version be had, and no others."""
        current, files = self._federation.current, self._federation.files
        beside = (current.difference, current.average, current.control, current.statistics)
        served = (current.digest, *beside)
        self._distribution.serve({digest: files.path(digest) for digest in served if digest})

    def want(self, client: str, want: Want) -> None:
        """Send what a client wants, or tell it that it is not to be had."""
        size = self._distribution.want(client, want)
        if size is None:
            self._say_unavailable(client, want.file)
        else:
            self._attendance.see(client, bytes_down=size)

    def round_ended(self) -> None:
        """Tell clients anew what is not to be had, as that may be another file."""
        self._unavailable.clear()

    def connected(self) -> None:
        """Begin anew: what was sent or said before may have been lost."""
        self._distribution.forget()
        self._unavailable.clear()

    def close(self) -> None:
        """Let go of the files, after the workers have ended."""
        self._distribution.close()

    def _say_unavailable(self, client: str, file: str) -> None:
        """Tell a client, once, that a file is not to be had: the announcement says so, too."""
        asked = (client, file)
        if asked not in self._unavailable and len(self._unavailable) < _MOST_UNAVAILABLE:
            self._unavailable.add(asked)
            sentence = "This file is no longer current: the announcement names those that are."
            self._reply(client, Unavailable(file=file, sentence=sentence))

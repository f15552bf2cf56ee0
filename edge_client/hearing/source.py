"""Where sound comes from while it is made: what a microphone and a recording have in common.

>>> for block in source.blocks():                  # doctest: +SKIP
...     for utterance in segmenter.feed(block):
...         recognise(utterance)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from shared.audio import RATE, Samples

BLOCK: Final = RATE // 50
"""Samples of a block: 20 ms."""


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """Something that happened to a source, for its user to see.

    Attributes
    ----------
    kind
        ``connected``: sound comes; ``lost``: it stopped, and the source waits for its device;
        ``overrun``: sound was lost because the machine was busy.
    detail
        One sentence about it.
    """

    kind: Literal["connected", "lost", "overrun"]
    detail: str


OnEvent = Callable[[SourceEvent], None]
"""Is told of events, from the thread that takes the blocks."""


def ignore(event: SourceEvent) -> None:
    """Take no notice of an event."""
    del event


class SoundSource(Protocol):
    """Something that makes sound."""

    def blocks(self) -> Iterator[Samples]:
        """Give the sound in blocks, until its end or until :meth:`close`.

        Yields
        ------
        Samples
            Shape ``(320,)``, float32, 16 kHz mono; the last block of a recording may be shorter.

        Raises
        ------
        ChorusError
            If there is no sound to be had, and waiting would not help.
        """
        ...

    def close(self) -> None:
        """End :meth:`blocks`, from any thread; more than once does no harm."""
        ...

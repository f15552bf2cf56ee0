"""Keys of a real terminal, whose bytes may arrive apart."""

import os
import pty
import select
import termios
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from edge_client.faces.keys import Keys


@dataclass
class Line:
    """A slow line to a terminal: what comes next arrives once it is waited for."""

    ours: int
    theirs: int
    pieces: list[bytes] = field(default_factory=list)

    def wait(self, handle: int, seconds: float) -> bool:
        arriving = self.pieces.pop(0) if seconds and self.pieces else b""
        if arriving:
            os.write(self.ours, arriving)
        return bool(select.select([handle], [], [], 5 if arriving else 0)[0])

    def type(self, *pieces: bytes) -> list[str]:
        """Send pieces, each after the one before was read; give the keys that they are."""
        self.pieces += pieces
        found = []
        with Keys(self.theirs, self.wait) as keys:
            while self.pieces or self.wait(self.theirs, 0):
                found.append(keys.get(1))
        return [key for key in found if key is not None]


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(*pty.openpty())
    yield line
    os.close(line.ours)
    os.close(line.theirs)


def test_keys_are_read_one_by_one_and_the_terminal_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with Keys(theirs) as keys:
        assert keys.get(0) is None
        os.write(ours, b"hQ\x1b[A\x1b[B\n\x1b[6~u")
        assert [keys.get(5) for _ in range(5)] == ["h", "q", "up", "down", "enter"]
        assert keys.get(5) not in ("up", "down", "enter")
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


ARROWS = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down"}


@pytest.mark.parametrize("sent", ARROWS)
@pytest.mark.parametrize("first", [1, 2])
def test_an_arrow_whose_bytes_arrive_apart_is_one_key(line: Line, sent: bytes, first: int) -> None:
    assert line.type(sent[:first], sent[first:]) == [ARROWS[sent]]
    assert line.type(*(bytes([byte]) for byte in sent)) == [ARROWS[sent]]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x1b[C",  # right
        b"\x1bOd",
        b"\x1b[3~",  # delete
        b"\x1b[1;5A",  # up, with Ctrl
        b"\x1bO5A",
        b"\x1b[[A",  # F1 of the Linux console
        b"\x1bOP",  # F1 elsewhere
        b"\x1b[ q",
        b"\x1b(B",
        b"\x1ba",  # a, with Alt
        b"\x1b]11;rgb:aaaa/aaaa/aaaa\x07",  # what a terminal answers
        b"\x1b]11;rgb:aaaa/aaaa/aaaa\x1b\\",
        b"\x1bP>|foot(1.16)\x1b\\",
    ],
)
def test_an_escape_sequence_that_means_nothing_here_is_no_key(line: Line, sent: bytes) -> None:
    assert line.type(b"h" + sent + b"n") == ["h", "n"]
    assert line.type(b"h", *(bytes([byte]) for byte in sent), b"n") == ["h", "n"]


def test_escape_alone_is_no_key_and_takes_none_with_it(line: Line) -> None:
    line.pieces = [b"\x1b", b"", b"a"]  # nothing comes while the rest is waited for
    assert line.type() == ["a"]
    assert line.type(b"\x1b", b"\x1b[A") == ["up"]


def test_a_sequence_without_end_takes_no_more_than_it_may(line: Line) -> None:
    assert line.type(b"\x1b[" + b"1" * 300)[-1] == "1"


def test_a_terminal_that_has_gone_ends_the_keys() -> None:
    ours, theirs = pty.openpty()
    with Keys(theirs) as keys:
        assert not keys.gone
        os.write(ours, b"\x1b")
        os.close(ours)
        assert keys.get(5) in (None, "q")
        assert keys.get(5) == "q"
        assert keys.gone
    os.close(theirs)

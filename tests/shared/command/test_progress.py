"""A long computation says now and then how far it is, where no bar can be drawn."""

import io

import pytest
from rich.console import Console

from shared.command import progress
from shared.command.progress import EVERY, Lines, tracker


def test_a_line_comes_now_and_then_and_none_about_what_is_done_soon() -> None:
    said, now = io.StringIO(), [0.0]
    lines = Lines(Console(file=said, highlight=False), lambda: now[0])
    assert list(lines.track(range(100), description="looking up clips")) == list(range(100))
    assert said.getvalue() == ""
    for _ in lines.track(iter(range(10)), 10, description="computing features"):
        now[0] += EVERY / 2
    assert said.getvalue().splitlines() == [
        f"computing features: {count} of 10" for count in (2, 4, 6, 8)
    ]


def test_what_is_tracked_meanwhile_is_drawn_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consoles = []

    def terminal() -> Console:
        consoles.append(Console(file=io.StringIO(), force_terminal=True, width=100))
        return consoles[-1]

    def drawn() -> list[list[str]]:
        """Say which bars are drawn beneath a line, on each console."""
        found = []
        for console in consoles:
            with console.capture() as said:
                console.print("a line")
            found.append([name for name in ("encoding", "computing") if name in said.get()])
        return [own for own in found if own]

    monkeypatch.setattr(progress, "progress_console", terminal)
    with tracker(shown=True) as outer:
        for _ in outer.track([1], description="encoding"):
            with tracker(shown=True) as inner, tracker(shown=False):
                for _ in inner.track([1], description="computing"):
                    assert drawn() == [["encoding", "computing"]]
            assert drawn() == [["encoding"]]
    assert drawn() == []
    with tracker(shown=True) as later:
        for _ in later.track([1], description="computing"):
            assert drawn() == [["computing"]]


def test_where_nothing_is_to_be_shown_nothing_is(capfd: pytest.CaptureFixture[str]) -> None:
    for shown in (True, False):
        with tracker(shown=shown) as bar:
            assert list(bar.track([1, 2], description="counting")) == [1, 2]
    assert capfd.readouterr() == ("", "")

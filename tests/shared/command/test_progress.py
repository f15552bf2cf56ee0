"""A long computation says now and then how far it is, where no bar can be drawn."""

import io

import pytest
from rich.console import Console

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


def test_where_nothing_is_to_be_shown_nothing_is(capfd: pytest.CaptureFixture[str]) -> None:
    for shown in (True, False):
        with tracker(shown=shown) as bar:
            assert list(bar.track([1, 2], description="counting")) == [1, 2]
    assert capfd.readouterr() == ("", "")

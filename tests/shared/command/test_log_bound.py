"""What others can cause to be logged does not fill the disk."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shared.command.log_bound import LONGEST, MOST, MOST_EACH, LogBound, ShortLines


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def kept(now: list[float]) -> Iterator[Kept]:
    handler = Kept()
    handler.addFilter(LogBound(lambda: now[0]))
    log = logging.getLogger("bounded")
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


def complain(client: str) -> None:
    logging.getLogger("bounded").warning("%s: %s", client, "anything")


def test_one_client_does_not_fill_the_log_and_hides_no_other(kept: Kept, now: list[float]) -> None:
    for _ in range(10_000):
        complain("mallory")
    assert len(kept.lines) == MOST_EACH
    assert "More of this kind is not logged" in kept.lines[-1]
    assert "More" not in kept.lines[-2]
    complain("anna")
    assert kept.lines[-1] == "anna: anything"
    now[0] = 3600
    complain("mallory")
    assert kept.lines[-1] == "mallory: anything"


def test_many_clients_do_not_fill_it_either(kept: Kept) -> None:
    for number in range(3 * MOST):
        complain(f"client-{number}")
    assert len(kept.lines) == MOST
    logging.getLogger("bounded").error("Another place.")
    assert kept.lines[-1] == "Another place."


def test_what_is_no_warning_passes(kept: Kept) -> None:
    for _ in range(100):
        logging.getLogger("bounded").info("%s", "kitchen")
    assert len(kept.lines) == 100


FLOOD = """
from shared.command import log_to_stderr
from shared.loop import Loop

log_to_stderr()
loop = Loop()
for _ in range(2000):
    loop.message("mallory", b"x", lambda: 1 / 0)
    loop.turn()
"""


def test_a_flood_of_what_cannot_be_handled_is_a_few_tracebacks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FLOOD], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.count("ZeroDivisionError: division by zero") == MOST_EACH
    assert len(done.stderr) < 50_000


def test_a_traceback_has_a_bounded_length_and_still_says_where_and_why() -> None:
    def fail(depth: int) -> None:
        raise ValueError("payload " + depth * "x" + " is what was wrong")

    try:
        fail(1_000_000)
    except ValueError:
        record = logging.LogRecord(
            "bounded", logging.ERROR, __file__, 1, "It failed: %s", ("anna",), sys.exc_info()
        )
    text = ShortLines("%(message)s").format(record)
    assert len(text) < LONGEST + 100
    assert text.startswith("It failed: anna\nTraceback")
    assert "characters are left out" in text
    assert text.endswith(" is what was wrong")


def test_what_cannot_be_printed_is_escaped() -> None:
    name = "\x1b[31mred\u202e.wav"
    record = logging.LogRecord("bounded", logging.INFO, __file__, 1, "Playing %s.\n", (name,), None)
    assert ShortLines("%(message)s").format(record) == "Playing \\x1b[31mred\\u202e.wav.\n"


def test_a_short_record_is_left_as_it_is() -> None:
    record = logging.LogRecord("bounded", logging.ERROR, __file__, 1, "a %s", ("b",), None)
    assert ShortLines("%(message)s").format(record) == "a b"

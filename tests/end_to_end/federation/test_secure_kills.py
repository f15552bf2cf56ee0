"""The federations of ``benchmarks/secure_kills.py``, a small one of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from aggregator.secure.journal import Journal
from benchmarks.secure_kills import revealed_too_much
from shared.protocol.secure import Revealed

ROOT = Path(__file__).parents[3]


@pytest.mark.usefixtures("environment")
def test_devices_killed_while_they_mask_leave_the_bits_of_the_others(tmp_path: Path) -> None:
    words = ["-m", "benchmarks.secure_kills", "--devices", "4", "--numbers", "2"]
    made = subprocess.run(
        [sys.executable, *words, "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "2 masked: done, 3 in the sum" in made.stdout


def answer(seeds: str, keys: str) -> bytes:
    share = bytes(33)
    return Revealed(
        secure_round=bytes(32),
        seeds=dict.fromkeys(seeds, share),
        keys=dict.fromkeys(keys, share),
    ).encode()


@pytest.mark.parametrize(
    ("answers", "done", "said"),
    [
        ([("ab", "c"), ("ab", "c"), ("ab", "c")], True, ""),
        ([("ab", "c"), ("ab", "c")], False, ""),
        ([("ab", "c"), ("ac", "b")], False, "Shares of both secrets of b, c are revealed."),
        ([("ab", "c"), ("ab", "c"), ("ab", "c")], False, "It was abandoned with shares enough"),
    ],
)
def test_what_devices_must_not_reveal_is_found_in_a_journal(
    tmp_path: Path,
    answers: list[tuple[str, str]],
    done: bool,  # noqa: FBT001 -- a case
    said: str,
) -> None:
    book = Journal(tmp_path / "journal")
    list(book.entries())
    book.append("a", b"\x00 a masked update")
    for seeds, keys in answers:
        book.append("a", answer(seeds, keys))
    book.close()
    found = revealed_too_much(tmp_path / "journal", 4, done=done)
    assert found.startswith(said)
    assert bool(found) == bool(said)

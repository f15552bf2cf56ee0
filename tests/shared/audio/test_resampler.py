"""From any sampling rate to 16 kHz, as the sound arrives."""

import subprocess
import sys

import numpy as np
import pytest

from shared.audio import RATE, Resampler

HEARING = """
import threading

import numpy as np

from edge_client.hearing.conversion import Conversion


def hearing():
    conversion = Conversion(48_000)
    while True:
        yield from conversion.feed(np.zeros((960, 2), np.float32))


def listen():
    own = Conversion(44_100)
    for _ in hearing():
        begun.set()
        threading.Event().wait()


# A thread that nobody ends keeps them: what a device has when it is interrupted.
begun = threading.Event()
threading.Thread(target=listen, daemon=True).start()
begun.wait()
"""


@pytest.mark.parametrize("end", ["KeyboardInterrupt", "SystemExit(0)"])
def test_one_that_still_lives_at_the_end_leaves_no_report(end: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{HEARING}raise {end}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Error" not in done.stderr
    assert "leak" not in done.stderr


def test_pieces_give_what_the_whole_gives() -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 44_100).astype(np.float32)
    whole = Resampler(44_100).feed(sound, last=True)
    resampler = Resampler(44_100)
    pieces = [resampler.feed(piece) for piece in np.split(sound, 10)]
    pieces.append(resampler.feed(sound[:0], last=True))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert len(whole) == RATE

"""Whoever goes at whatever stage: the sum of the survivors is exact, or there is a reason."""

import multiprocessing
import os
import signal
import tempfile
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.secure.journal import Journal
from aggregator.secure.round import SecureRound
from shared.protocol.secure import Revealed
from shared.secure import masked_update
from shared.secure.masks import reduced
from shared.secure.terms import Stage, Terms, threshold_of
from tests.secure_rounds import (
    STAGES,
    TERMS,
    Federation,
    answer,
    names,
    plain_sum,
)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whoever_goes_the_sum_is_that_of_the_survivors_or_there_is_none(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(3, 9), label="devices")
    bits = data.draw(st.integers(8, 32), label="bits")
    fewest = data.draw(st.integers(3, 5), label="fewest")
    goes_at = data.draw(
        st.lists(st.sampled_from([*STAGES, Stage.DONE]), min_size=count, max_size=count)
    )
    gone = {
        stage: [name for name, at in zip(names(count), goes_at, strict=True) if at is stage]
        for stage in STAGES
    }
    terms = Terms("chorus", "0" * 32, 1, length=7, bits=bits, fewest=fewest)
    with tempfile.TemporaryDirectory() as folder:
        federation = Federation(Path(folder), count, terms)
        federation.run(gone)
    there = [sum(_place(at) > place for at in goes_at) for place in range(len(STAGES))]
    threshold = threshold_of(there[0])
    enough = there[2] >= max(fewest, threshold) and there[4] >= threshold
    assert (federation.round.stage is Stage.DONE) == enough
    if enough:
        survivors = [
            name
            for name, at in zip(names(count), goes_at, strict=True)
            if _place(at) > STAGES.index(Stage.MASKED)
        ]
        assert list(federation.round.survivors) == survivors
        np.testing.assert_array_equal(federation.round.sum, plain_sum(terms, survivors))
    else:
        assert federation.round.abandoned is not None
        assert federation.round.abandoned.reason == "too-few"


def _place(stage: Stage) -> int:
    return [*STAGES, Stage.DONE].index(stage)


@pytest.mark.parametrize(
    ("count", "stage"), [*((9, stage) for stage in STAGES), (32, Stage.MASKED)]
)
def test_a_third_of_the_devices_may_go_at_any_stage(
    count: int, stage: Stage, tmp_path: Path
) -> None:
    federation = Federation(tmp_path, count)
    gone = names(count)[::3][: count // 3]
    federation.run({stage: gone})
    there = set(names(count)) - (set(gone) if stage in STAGES[:3] else set())
    assert set(federation.round.survivors) == there
    np.testing.assert_array_equal(federation.round.sum, plain_sum(TERMS, there))


def test_masked_updates_look_uniform_alone_and_summed_short_of_the_masks(tmp_path: Path) -> None:
    """Updates of zeros: whatever is seen is the masks'."""
    from scipy.stats import chisquare

    terms = Terms("chorus", "0" * 32, 1, length=1 << 16, bits=8)
    federation = Federation(tmp_path, 5, terms)
    federation.run(until=Stage.MASKED)
    zeros = np.zeros(terms.length, np.uint32)
    masked = [
        masked_update.decoded(terms, answer(client, Stage.MASKED, federation.asked(name), zeros))
        for name, client in federation.clients.items()
    ]
    total = masked[0].copy()
    for further in masked[1:]:
        assert chisquare(np.bincount(further, minlength=256)).pvalue > 1e-3
        # The pairs' masks cancel in the sum of all; the own masks do not.
        total = reduced(total + further, terms.bits)
        assert chisquare(np.bincount(total, minlength=256)).pvalue > 1e-3


def test_the_same_update_is_masked_otherwise_in_the_next_round(tmp_path: Path) -> None:
    seen = []
    for number in (1, 2):
        terms = Terms("chorus", "0" * 32, number, length=64, bits=8)
        federation = Federation(tmp_path / str(number), 3, terms)
        federation.run(until=Stage.MASKED)
        zeros = np.zeros(64, np.uint32)
        first = names(3)[0]
        seen.append(federation.clients[first].masked(federation.asked(first), zeros)[32:])
    assert seen[0] != seen[1], "even if the same secrets were drawn"


@pytest.mark.parametrize("gone", [(), ("device-02",)])
def test_a_lie_about_a_share_gives_no_sum(gone: tuple[str, ...], tmp_path: Path) -> None:
    federation = Federation(tmp_path, 5)
    federation.run({Stage.MASKED: gone}, until=Stage.UNMASKING)
    round_ = federation.round
    for name in sorted(round_.awaited):
        message = federation.answer(name, Stage.UNMASKING, federation.asked(name))
        if name == "device-00":
            revealed = Revealed.decode(message)
            which = "keys" if gone else "seeds"
            lie = {each: bytes(32) + b"\7" for each in getattr(revealed, which)}
            message = revealed.model_copy(update={which: lie}).encode()
        round_.take(name, message)
    round_.close()
    assert round_.stage is Stage.ABANDONED
    assert round_.abandoned is not None
    assert round_.abandoned.reason == "contradiction"
    assert "do not give the secret" in round_.abandoned.problem


def test_the_round_goes_on_after_any_byte_of_its_journal(tmp_path: Path) -> None:
    """The aggregator is killed while it writes: what it has said so far it says again."""
    federation = Federation(tmp_path, 4)
    federation.run({Stage.MASKED: ["device-03"]})
    whole = (tmp_path / "journal").read_bytes()
    entries = list(Journal(tmp_path / "journal").entries())
    said: list[list[bytes]] = [[]]
    for cut in _cuts(entries):
        path = tmp_path / "cut"
        path.write_bytes(whole[:cut])
        done = len(list(Journal(path).entries()))
        round_ = SecureRound(TERMS, federation.known, Journal(path))
        asked = _asked(round_)
        if done == len(said):
            said.append(asked)
        assert asked == said[done], "half an entry counts as none"
        for name, message in entries[max(done, 1) :]:
            _repeat(round_, name, message)
        np.testing.assert_array_equal(round_.sum, federation.round.sum)
        assert path.read_bytes() == whole


def test_a_process_killed_after_each_step_loses_nothing(tmp_path: Path) -> None:
    """Every step is a process of its own, which ends by SIGKILL."""
    federation = Federation(tmp_path / "whole", 4)
    federation.run({Stage.MASKED: ["device-03"]})
    entries = list(Journal(tmp_path / "whole" / "journal").entries())
    path = tmp_path / "journal"

    def step(name: str, message: bytes) -> None:
        _repeat(SecureRound(TERMS, federation.known, Journal(path)), name, message)
        os.kill(os.getpid(), signal.SIGKILL)

    for entry in entries[1:]:
        process = multiprocessing.get_context("fork").Process(target=step, args=entry)
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
    last = SecureRound(TERMS, federation.known, Journal(path))
    np.testing.assert_array_equal(last.sum, federation.round.sum)
    assert path.read_bytes() == (tmp_path / "whole" / "journal").read_bytes()


def _cuts(entries: list[tuple[str, bytes]]) -> list[int]:
    """Give places to cut a journal at: behind each entry, in its head and in its middle."""
    ends = list(accumulate(8 + len(name) + 1 + len(message) for name, message in entries))
    return [0, *(place for end in ends for place in (end, end + 5, end + 20) if place <= ends[-1])]


def _asked(round_: SecureRound) -> list[bytes]:
    if round_.stage is Stage.KEYS:
        return []
    return [round_.ask(name) for name in sorted(round_.awaited)]


def _repeat(round_: SecureRound, name: str, message: bytes) -> None:
    if name:
        round_.take(name, message)
    else:
        round_.close()

"""How far a secure round is, as its journal shows it to others."""

import json
from pathlib import Path

import pytest

from aggregator.secure.progress import progress_of
from shared.secure.terms import Stage
from tests.secure_rounds import STAGES, Federation, names


@pytest.mark.parametrize("stage", STAGES)
def test_it_says_the_stage_and_who_is_missing(tmp_path: Path, stage: Stage) -> None:
    it = Federation(tmp_path, 4)
    journal = tmp_path / "journal"
    it.run(until=stage)
    found = progress_of(journal)
    assert found
    assert (found.stage, found.missing) == (stage, tuple(names(4)))
    for name in names(2):
        it.round.take(name, it.answer(name, stage, it.asked(name)))
    found = progress_of(journal)
    assert found
    assert (found.stage, found.missing) == (stage, ("device-02", "device-03"))
    assert found.sentence.startswith(f"Stage {STAGES.index(stage) + 1} of 5: it asks for ")
    assert found.sentence.endswith("; missing: device-02, device-03.")


def test_who_has_gone_at_an_earlier_stage_is_missed_no_more(tmp_path: Path) -> None:
    it = Federation(tmp_path, 4)
    it.run({Stage.SHARES: ["device-01"]}, until=Stage.MASKED)
    found = progress_of(tmp_path / "journal")
    assert found
    assert found.missing == ("device-00", "device-02", "device-03")


def test_many_are_counted(tmp_path: Path) -> None:
    Federation(tmp_path, 8)
    found = progress_of(tmp_path / "journal")
    assert found
    assert found.sentence == (
        "Stage 1 of 5: it asks for keys; missing: device-00, device-01, device-02, device-03, "
        "device-04 and 3 more."
    )


def test_after_its_stages_and_without_a_journal_there_is_nothing_to_say(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    assert progress_of(journal) is None
    Federation(tmp_path, 3).run()
    assert progress_of(journal) is None


def test_what_is_being_written_is_left_aside_and_nothing_is_changed(tmp_path: Path) -> None:
    it = Federation(tmp_path, 4)
    it.run(until=Stage.CONSENT)
    whole = (tmp_path / "journal").read_bytes()
    part = tmp_path / "part"
    for cut in range(0, len(whole), 7):
        part.write_bytes(whole[:cut])
        found = progress_of(part)
        assert found is None or found.stage in STAGES
        assert part.read_bytes() == whole[:cut]


@pytest.mark.parametrize("beginning", [b"no JSON", b"[]", json.dumps({"x": 1}).encode(), b"\xff"])
def test_a_journal_that_is_damaged_is_not_shown(tmp_path: Path, beginning: bytes) -> None:
    body = b"\0" + beginning
    (tmp_path / "journal").write_bytes(len(body).to_bytes(4) + bytes(4) + body)
    assert progress_of(tmp_path / "journal") is None

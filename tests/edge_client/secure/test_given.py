"""A device gives one masked update a round, whatever is said to it, over restarts too."""

import dataclasses
import json
from pathlib import Path

import pytest

from edge_client.secure import given as rounds
from edge_client.secure.given import GivenRounds
from shared.errors import SecureError, StorageError, TrustError
from shared.secure.terms import Stage
from tests.secure_rounds import TERMS, Federation

NEXT = dataclasses.replace(TERMS, number=2)
OTHER = dataclasses.replace(TERMS, run="1" * 32)


def test_a_round_is_given_once_and_no_earlier_one_after_it(tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    GivenRounds(path).take(NEXT)
    for terms in (NEXT, TERMS, dataclasses.replace(NEXT, bits=20, fewest=9)):
        for call in (GivenRounds(path).check, GivenRounds(path).take):
            with pytest.raises(SecureError, match="already") as refused:
                call(terms)
            assert refused.value.reason == "given"
    again = GivenRounds(path)
    again.take(OTHER)
    again.take(dataclasses.replace(TERMS, number=3))
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_on_the_disk_before_anything_leaves_the_device(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 3)
    federation.run(until=Stage.MASKED)
    name = "device-00"
    federation.answer(name, Stage.MASKED, federation.asked(name))
    with pytest.raises(SecureError, match="already"):
        federation.client(name)


def test_with_a_disk_that_takes_nothing_nothing_is_given(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 3)
    federation.run(until=Stage.MASKED)
    asked = federation.asked("device-00")
    (tmp_path / "device-00.json").mkdir()
    with pytest.raises(StorageError):
        federation.answer("device-00", Stage.MASKED, asked)
    assert federation.clients["device-00"].stage is Stage.ABANDONED


@pytest.mark.parametrize("text", ["", "{", "[]", '{"chorus": "1"}', '{"chorus": true}'])
def test_a_record_that_cannot_be_read_is_not_taken_for_an_empty_one(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "given.json"
    path.write_text(text)
    with pytest.raises(TrustError, match=r"given\.json"):
        GivenRounds(path)


def test_no_run_is_forgotten_to_make_room(tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    known = {f"chorus/{number:032x}": 1 for number in range(1, rounds.MOST_RUNS + 1)}
    path.write_text(json.dumps(known))
    with pytest.raises(SecureError, match="joins no more") as refused:
        GivenRounds(path).take(TERMS)
    assert str(path) in refused.value.remedy
    GivenRounds(path).take(dataclasses.replace(NEXT, run=f"{1:032x}"))

"""A device's part in a secure round, and what ends it."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_client.federation.announced_round import AnnouncedRound
from edge_client.federation.client_state import ClientState
from edge_client.federation.round_work import Trained
from edge_client.federation.secure_part import SecurePart
from edge_client.federation.terms import TermsSettings
from edge_client.secure.client import SecureClient
from edge_client.secure.given import GivenRounds
from shared.errors import ChorusError, SecureError
from shared.protocol.messages import File
from shared.protocol.secure import Declined, Keys, Roster, SealedShares
from shared.protocol.secure_offer import SecureOffer
from shared.secure.terms import Terms
from shared.training import TrainingSettings
from shared.trust.keys import SecretKey
from tests.edge_client.federation.announcements import RUN, announcement
from tests.edge_client.tiny import TINY
from tests.loop_driver import LoopDriver
from tests.memberships import member
from tests.secure_rounds import lasting_key

if TYPE_CHECKING:
    from edge_client.enrolment.membership import Membership

pytestmark = pytest.mark.usefixtures("tiny")

OTHERS = ("ben", "cleo")
TRAINED = Trained(RUN, 1, np.zeros(0, np.uint32), None, [])


class Part:
    """The part of ``anna``, who has joined, and all that it says."""

    def __init__(self, folder: Path, *, joined: bool = True, **terms: Any) -> None:
        self.said: list[bytes] = []
        self.wrong: list[ChorusError] = []
        self.driver = LoopDriver()
        place = folder / "membership"
        self.membership: Membership | None = None
        self.keys = {name: lasting_key(name).public for name in OTHERS}
        if joined:
            self.membership = member(folder / "aggregator", place, "anna")
            self.keys["anna"] = SecretKey.read(place / "key.pem").public
        self.part = SecurePart(
            self.membership,
            TermsSettings(**terms),
            ClientState(folder / "part"),
            loop=self.driver.loop,
            worker=self.driver.loop.worker("files"),
            say=self.said.append,
            remark=self.wrong.append,
            masked=lambda: None,
        )

    def announced(self, number: int = 1, **values: Any) -> AnnouncedRound:
        facts = {
            "bits": 13,
            "examples": 100,
            "octaves": [0] * len(TINY.manifest),
            "fewest": 3,
            "devices": {name: str(key) for name, key in self.keys.items()},
        }
        secure = SecureOffer.model_validate(facts | values)
        model = File(digest="0" * 64, size=1)
        return AnnouncedRound(announcement(model, secure=secure, round=number), "anna")

    def refusal(self) -> str:
        """Give the reason why its part has ended, and check that it has."""
        (error,) = self.wrong
        assert isinstance(error, SecureError)
        before = len(self.said)
        self.driver.after(60)
        assert len(self.said) == before, "it says nothing more"
        return error.reason


def test_it_says_its_keys_and_says_them_again_until_it_is_answered(tmp_path: Path) -> None:
    it = Part(tmp_path)
    assert it.part.takes(it.announced())
    assert Keys.decode(it.said[0]).keys
    it.driver.after(25)
    assert it.said == it.said[:1] * 3
    it.part.announced(it.announced(number=2))
    it.driver.after(25)
    assert len(it.said) == 3
    assert not it.wrong


def test_a_plain_round_is_not_its_business(tmp_path: Path) -> None:
    it = Part(tmp_path, joined=False)
    plain = AnnouncedRound(announcement(File(digest="0" * 64, size=1)), "anna")
    assert it.part.takes(plain)
    assert not it.said
    assert not it.part.hear(b'{"protocol": "1.3", "kind": "accepted"}')


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"devices": {}}, "damaged"),
        ({"octaves": [0]}, "damaged"),
        ({"devices": {"anna": "0" * 64}}, "unsigned"),
    ],
)
def test_it_takes_no_part_in_what_can_be_no_round(
    tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    it = Part(tmp_path)
    announced = it.announced(**values)
    if reason == "damaged":
        assert not it.part.takes(announced)
    else:  # nothing shows until it hears the roster
        assert it.part.takes(announced)
        it.part.hear(Roster(secure_round=bytes(32), devices={}).encode())
        reason = "foreign"
    assert it.refusal() == reason
    assert not it.part.takes(announced)


def test_who_has_not_joined_takes_no_part(tmp_path: Path) -> None:
    it = Part(tmp_path, joined=False)
    assert not it.part.takes(it.announced())
    assert it.refusal() == "uninvited"


def test_it_takes_no_part_with_more_strangers_than_its_terms_allow(tmp_path: Path) -> None:
    it = Part(tmp_path, most_strangers=1)
    assert not it.part.takes(it.announced())
    assert it.refusal() == "strangers"


def test_a_sum_of_fewer_others_than_its_terms_ask_for_is_not_joined(tmp_path: Path) -> None:
    it = Part(tmp_path, fewest_others=3)
    assert not it.part.takes(it.announced())
    assert it.refusal() == "too-few"


def test_what_was_announced_of_a_round_does_not_change(tmp_path: Path) -> None:
    it = Part(tmp_path)
    announced = it.announced()
    assert it.part.takes(announced)
    it.part.announced(announced)
    assert not it.wrong
    it.part.announced(it.announced(bits=12))
    assert it.refusal() == "contradiction"
    it.part.trained(TRAINED)  # of what was announced before
    assert not it.part.takes(it.announced(bits=12))


@pytest.mark.parametrize(
    "values",
    [
        {"training": TrainingSettings(learning_rate=1e-30)},
        {"model": File(digest="1" * 64, size=1)},
        {"statistics": File(digest="1" * 64, size=1)},
        {"seed": 4},
        {"secure": None},
    ],
)
def test_what_a_round_asks_for_does_not_change_once_it_has_begun(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    it = Part(tmp_path)
    announced = it.announced()
    assert it.part.takes(announced)
    changed = replace(announced, announcement=announced.announcement.model_copy(update=values))
    it.part.announced(changed)
    assert it.refusal() == "contradiction"
    assert not it.part.takes(changed)


def test_a_run_in_which_it_has_masked_an_update_gets_no_plain_one(tmp_path: Path) -> None:
    it = Part(tmp_path)
    assert it.membership
    plain = [
        AnnouncedRound(announcement(File(digest="0" * 64, size=1), run=run, round=2), "anna")
        for run in (RUN, "1" * 32)
    ]
    assert it.part.takes(plain[0])
    GivenRounds(it.membership.given).take(Terms("chorus", RUN, 1, length=5, bits=12))
    again = Part(tmp_path)
    assert not again.part.takes(plain[0])
    assert again.refusal() == "contradiction"
    assert again.part.takes(plain[1])


def test_two_rounds_of_one_number_do_not_both_give_an_update(tmp_path: Path) -> None:
    it = Part(tmp_path)
    assert it.part.takes(it.announced())
    first = it.part._client
    it.part.announced(it.announced(number=2))
    assert it.part.takes(it.announced())
    second = it.part._client
    assert first
    assert second
    assert first is not second, "the first may still be masking"
    first._given.take(first._terms)
    with pytest.raises(SecureError, match="already"):
        second._given.take(second._terms)


def test_what_comes_out_of_turn_changes_nothing_and_what_is_wrong_ends_it(tmp_path: Path) -> None:
    it = Part(tmp_path)
    assert it.part.takes(it.announced())
    assert it.part.hear(SealedShares(secure_round=bytes(32), sealed={}).encode())
    assert not it.wrong
    assert it.part.hear(b'{"protocol": "1.3", "kind": "secure-roster"}')
    (error,) = it.wrong
    assert error.problem.startswith("A message is wrong")
    assert not it.part.takes(it.announced())
    assert it.part.takes(it.announced(number=2)), "the next round is another one"


def test_what_ends_its_part_it_says_to_the_aggregator_and_no_more_than_that(
    tmp_path: Path,
) -> None:
    it = Part(tmp_path, most_strangers=1)
    announced = it.announced()
    assert not it.part.takes(announced)
    assert it.said == [Declined(run=RUN, round=1).encode()]
    it.part.announced(announced)  # by a process that may not have heard it
    assert it.said == [Declined(run=RUN, round=1).encode()] * 2
    it.part.announced(it.announced(number=2))
    assert len(it.said) == 2


def test_a_masked_update_is_flushed_to_the_disk_before_it_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, flushed, fsync = Part(tmp_path), set[int](), os.fsync
    announced = it.announced()
    assert it.part.takes(announced)
    assert it.part._client
    it.part._client_state.enter(RUN)

    def flush(file: int) -> None:
        flushed.add(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(SecureClient, "masked", lambda *_: b"masked")
    monkeypatch.setattr(os, "fsync", flush)
    it.part._finish(it.part._client, announced.announcement, TRAINED, b"shares")
    assert it.part._client_state.update.read_bytes() == b"masked"
    assert it.part._client_state.update.stat().st_ino in flushed


def test_what_its_owner_does_not_allow_it_declines_once(tmp_path: Path) -> None:
    it = Part(tmp_path)
    announced = it.announced()
    it.part.decline(announced)
    it.part.decline(announced)
    assert it.said == [Declined(run=RUN, round=1).encode()]
    assert not it.wrong
    assert not it.part.takes(announced)

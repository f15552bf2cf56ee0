"""Trainings that fail: in a secure round nobody waits for them, and none is begun in vain."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import StorageError
from shared.protocol.messages import Offer
from shared.training import Examples
from tests.edge_client.federation.alone import Alone, offers_of
from tests.edge_client.federation.announcements import model_of
from tests.edge_client.federation.secure_alone import secure_round, words_of
from tests.edge_client.tiny import examples

pytestmark = pytest.mark.usefixtures("tiny")


class Fails:
    """Examples that cannot be trained on, until they are usable."""

    def __init__(self) -> None:
        self.begun = 0
        self.usable = False

    def __call__(self) -> Examples:
        self.begun += 1
        found = examples(8)
        if self.usable:
            return found
        return replace(found, features=np.full_like(found.features, np.nan))


@pytest.fixture
def data(it: Alone) -> Fails:
    it.data = data = Fails()
    return data


def test_a_member_whose_training_fails_declines_the_secure_round_at_once(tmp_path: Path) -> None:
    it, announce = secure_round(tmp_path)
    it.data = data = Fails()
    words: list[list[str]] = []

    def look() -> None:
        words.append(words_of(it))

    it.play(it.connection.connect, announce, look, 600.0, look)
    assert words == [["secure-keys", "secure-declined"]] * 2
    assert data.begun == 1
    assert it.states[-1] == "troubled"


def test_a_member_whose_disk_is_full_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    it, announce = secure_round(tmp_path)
    full = [True]

    def data() -> Examples:
        if full:
            full.pop()
            raise StorageError.full_disk(tmp_path)
        return examples(8)

    it.data = data
    words: list[str] = []
    it.play(it.connection.connect, announce, 60.0, lambda: words.extend(words_of(it)))
    assert not full
    assert set(words) == {"secure-keys"}


def test_a_training_that_failed_is_not_begun_again_with_nothing_changed(
    it: Alone, data: Fails
) -> None:
    model = model_of(it.folder)
    it.play(it.connection.connect, it.announce(model), 600.0, it.participant._look)
    assert data.begun == 1
    assert it.states[-1] == "troubled"
    assert "not finite" in it.reports[-1]["remark"]


def test_it_is_begun_again_with_other_examples_and_in_another_round(it: Alone, data: Fails) -> None:
    model, begun, offers = model_of(it.folder), list[int](), list[Offer]()

    def examples_come() -> None:
        data.usable = True
        it.participant.examples_changed()

    it.play(
        it.connection.connect,
        *(it.announce(model), lambda: begun.append(data.begun)),
        *(it.announce(model, round=2), lambda: begun.append(data.begun)),
        *(examples_come, lambda: offers.extend(offers_of(it))),
    )
    assert begun == [1, 2]
    assert [offer.round for offer in offers] == [2]


def test_examples_that_come_while_a_training_fails_are_trained_on(tmp_path: Path) -> None:
    it = Alone(tmp_path, at_once=False)
    it.data = data = Fails()
    model, offers = model_of(it.folder), list[Offer]()
    files, training = (it.driver.workers[name] for name in ("files", "training"))

    def fail() -> None:
        training.do_all()
        data.usable = True

    it.play(
        *(it.connection.connect, it.announce(model), files.do_all),
        *(it.participant.examples_changed, fail, 60.0),
        *(training.do_all, files.do_all, lambda: offers.extend(offers_of(it))),
    )
    assert data.begun == 2
    assert len(offers) == 1

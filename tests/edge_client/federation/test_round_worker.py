"""A round's work: begun, given up, gone wrong."""

from pathlib import Path

import pytest

from edge_client.federation.client_state import ClientState
from edge_client.federation.round_worker import Outcome, RoundWorker
from edge_client.federation.settings import FederationSettings
from shared.errors import CorpusError
from shared.protocol.messages import Announcement, Offer
from shared.training import Examples
from tests.edge_client.federation.announcements import RUN, announcement, model_of
from tests.edge_client.tiny import NumpyEngine, examples
from tests.loop_driver import LoopDriver


class Works:
    """A worker whose thread is in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self.driver = LoopDriver(at_once=False)
        self.outcomes: list[Outcome] = []
        self.read = 0
        self.state = ClientState(folder)
        self.state.enter(RUN)
        self.round: Announcement = announcement(model_of(folder))
        self.worker = RoundWorker(
            FederationSettings(client="kitchen", holdout=0.0),
            self.state,
            examples=self.examples,
            engines=lambda _: NumpyEngine(),
            worker=self.driver.loop.worker("training"),
            ended=self.outcomes.append,
        )

    def examples(self) -> Examples:
        self.read += 1
        if self.read == 3:
            raise CorpusError("The store is gone.")
        return examples(8)


@pytest.fixture
def it(tmp_path: Path, tiny: None) -> Works:
    del tiny
    return Works(tmp_path)


def test_all_of_it_is_done_in_the_worker(it: Works) -> None:
    it.worker.begin(it.round)
    it.driver.rest()
    assert (it.worker.on, it.read, it.outcomes) == ((RUN, 1), 0, [])
    it.driver.work("training")
    (offer,) = it.outcomes
    assert isinstance(offer, Offer)
    assert (it.worker.on, it.state.offer) == (None, offer)


def test_what_is_given_up_before_it_begins_has_no_outcome_and_can_begin_anew(it: Works) -> None:
    it.worker.begin(it.round)
    it.worker.give_up()
    # The files of a round that is over are removed.
    it.state.path(it.round.model.digest).rename(it.state.folder / "kept")
    it.driver.work("training")
    assert it.outcomes == [None]
    (it.state.folder / "kept").rename(it.state.path(it.round.model.digest))
    it.worker.begin(it.round)
    it.driver.work("training")
    assert isinstance(it.outcomes[-1], Offer)


def test_what_goes_wrong_is_told(it: Works) -> None:
    it.read = 2
    it.worker.begin(it.round)
    it.driver.work("training")
    (error,) = it.outcomes
    assert isinstance(error, CorpusError)
    assert it.worker.on is None

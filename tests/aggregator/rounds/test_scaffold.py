"""SCAFFOLD's control variates on the disk: the sum of what clients sent, whatever comes between."""

import os
from pathlib import Path

import numpy as np
import pytest

from aggregator.ledger.backup import back_up, restore
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.rollback import roll_back
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Closed, Opened
from aggregator.settings import AggregatorSettings
from aggregator.strategies import Update
from shared.errors import FederationError
from shared.weights import Weights
from tests.aggregator.driver import CLIENTS, come, put, random_update, settings, weights_of
from tests.edge_client.tiny import TINY

pytestmark = pytest.mark.usefixtures("tiny")


def scaffold(state: Path) -> AggregatorSettings:
    return settings(state, strategy="scaffold", optimizer="sgd", clients=4, quorum=4, rounds=9)


def play(federation: Federation, opened: Opened, change: float) -> Opened:
    """Play a round in which each client's control variate changes by as much."""
    step = None
    for client in opened.invited:
        update = random_update(client, opened.number)
        control = np.full(TINY.parameters, change, np.float32)
        step = put(federation, opened.number, Update(client, 7, update.delta, control))
    assert isinstance(step, Closed)
    assert federation.close_round(step)
    following = federation.rounds.end(0)
    assert isinstance(following, Opened)
    federation.open_round(following)
    return following


def played(state: Path) -> tuple[Federation, Opened]:
    """Play three rounds: the variate is 1, 3 and 7 after them."""
    federation = Federation(scaffold(state))
    opened = come(federation)
    assert opened
    for change in (1, 2, 4):
        opened = play(federation, opened, change)
    return federation, opened


def variate(federation: Federation) -> Weights:
    assert federation.current.control
    return federation.files.weights(federation.current.control)


@pytest.mark.parametrize("to", [0, 1])
@pytest.mark.parametrize("serving", [True, False])
def test_a_rollback_keeps_the_newest_as_clients_keep_theirs(
    tmp_path: Path, to: int, *, serving: bool
) -> None:
    federation, _ = played(tmp_path)
    earlier = federation.files.weights(federation.ledger.find(to).digest)
    if serving:
        federation.roll_back(to)
    federation.close()
    if not serving:
        roll_back(federation.folder, to)
    with Federation(scaffold(tmp_path)) as again:
        np.testing.assert_array_equal(weights_of(again), earlier)
        assert variate(again)[0] == 7
        opened = come(again)
        assert opened
        play(again, opened, 8)
        assert variate(again)[0] == 15
        assert not np.array_equal(weights_of(again), earlier)


def test_a_rollback_from_a_damaged_one_takes_the_newest_that_is_whole(tmp_path: Path) -> None:
    federation, _ = played(tmp_path)
    federation.close()
    assert federation.current.control
    os.truncate(federation.files.path(federation.current.control), 100)
    with pytest.raises(FederationError, match="missing or damaged"):
        Federation(scaffold(tmp_path))
    roll_back(federation.folder, 1)
    with Federation(scaffold(tmp_path)) as again:
        assert variate(again)[0] == 3


def test_it_is_written_once(tmp_path: Path) -> None:
    federation, _ = played(tmp_path)
    assert federation.current.memory
    assert set(federation.files.arrays(federation.current.memory)) == {"bounds.norms"}


def test_what_earlier_versions_wrote_is_read(tmp_path: Path) -> None:
    """They wrote the variate among what the strategy remembers, too."""
    federation, opened = played(tmp_path)
    assert federation.current.memory
    arrays = federation.files.arrays(federation.current.memory)
    arrays |= {"control": variate(federation), "bounds.controls": np.array([3.0])}
    memory = federation.files.add_arrays(arrays)
    with federation.ledger._transaction() as connection:
        connection.execute("UPDATE versions SET memory = ? WHERE round = 3", (memory,))
    federation.current = federation.ledger.find(None)
    play(federation, opened, 8)
    assert variate(federation)[0] == 15


def test_a_new_run_begins_with_none_as_its_clients_do(tmp_path: Path) -> None:
    federation, _ = played(tmp_path / "first")
    back_up(federation.folder, tmp_path / "backup.tar")
    before = weights_of(federation)
    folder = FederationFolder(tmp_path / "second")
    restore(tmp_path / "backup.tar", folder)
    with Federation(scaffold(folder.path)) as again:
        assert again.current.control is None
        assert again.current.memory == federation.current.memory
        np.testing.assert_array_equal(weights_of(again), before)
        opened = come(again)
        assert opened
        opened = play(again, opened, 8)
        assert variate(again)[0] == 8
        again.roll_back(1)
        assert variate(again)[0] == 8, "that of this run"
    assert len(opened.invited) == len(CLIENTS)

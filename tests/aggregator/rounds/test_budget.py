"""A federation with a privacy budget: charged with each model, never refunded, ended by it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.commands.report import status_of
from aggregator.ledger import History
from aggregator.ledger.backup import back_up, restore
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.rollback import roll_back
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from aggregator.settings import AggregatorSettings
from shared.errors import FederationError, SettingsError
from tests.aggregator.driver import CLIENTS, come, kill, play, put, random_update, weights_of
from tests.aggregator.driver import settings as plain

pytestmark = pytest.mark.usefixtures("tiny")


def settings(state: Path, **values: Any) -> AggregatorSettings:
    given = {"dp_epsilon": 1000, "clients_per_round": 4, "quorum": 4, **values}
    return plain(state, **given)


def test_each_model_is_charged_and_the_last_round_spends_the_budget(tmp_path: Path) -> None:
    federation = Federation(settings(tmp_path))
    opened = come(federation)
    spent = []
    while opened:
        opened = play(federation, opened)  # type: ignore[assignment] # a round, or none any more
        spent.append(federation.ledger.charges()[1])
    assert spent == sorted(set(spent))
    assert len(spent) == 3
    assert spent[-1] == pytest.approx(1000)
    assert federation.rounds.phase == "finished"


def test_noise_is_added_to_the_mean_of_updates(tmp_path: Path) -> None:
    federation = Federation(settings(tmp_path, clip_norm=0.5))
    opened = come(federation)
    assert opened
    before = weights_of(federation)
    play(federation, opened)
    private = federation.private
    assert private
    own = [random_update(client, 1).delta[:] for client in CLIENTS]
    mean = sum(delta * (0.5 / max(0.5, float(np.linalg.norm(delta)))) for delta in own) / 4
    noise = np.linalg.norm(weights_of(federation) - before - mean)
    assert noise == pytest.approx(private.noise_over_clip * 0.5, rel=0.1)


def test_the_model_and_its_charge_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    federation = Federation(settings(tmp_path))
    opened = come(federation)
    assert opened
    step = None
    for client in opened.invited:
        step = put(federation, 1, random_update(client, 1))
    assert step
    before = federation.current
    # Whatever stops the transaction at its end stops the charge, too.
    federation.ledger._connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON versions BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        federation.close_round(step)  # type: ignore[arg-type] # it is closed
    assert federation.ledger.charges() == (0, 0.0)
    federation.ledger._connection.execute("DROP TRIGGER full")
    kill(federation)
    again = Federation(settings(tmp_path))
    assert again.current == before
    closed = again.rounds.start(0)
    assert again.close_round(closed)  # type: ignore[arg-type] # it was closed before
    assert again.ledger.charges()[0] == 1


def test_rolling_back_refunds_nothing(tmp_path: Path) -> None:
    federation = Federation(settings(tmp_path))
    opened = come(federation)
    assert opened
    opened = play(federation, opened)  # type: ignore[assignment] # the next round
    charges = federation.ledger.charges()
    federation.roll_back(0)
    assert federation.ledger.charges() == charges
    kill(federation)
    again = Federation(settings(tmp_path))
    opened = come(again)
    while opened:
        opened = play(again, opened)  # type: ignore[assignment] # as above
    assert again.ledger.charges()[1] <= 1000 * (1 + 1e-9)
    assert again.rounds.phase == "finished"


@pytest.mark.parametrize(
    "other", [{"dp_epsilon": None}, {"dp_epsilon": 500}, {"dp_delta": 1e-6}, {"rounds": 4}]
)
def test_another_budget_on_restart_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    Federation(settings(tmp_path)).close()
    with pytest.raises(FederationError, match=f"was begun with {next(iter(other))}"):
        Federation(settings(tmp_path, **other))


def test_a_budget_cannot_come_later(tmp_path: Path) -> None:
    Federation(plain(tmp_path, clients_per_round=4, quorum=4)).close()
    with pytest.raises(FederationError, match="was begun with dp_epsilon"):
        Federation(settings(tmp_path))


@pytest.mark.parametrize("missing", ["rounds", "clients_per_round"])
def test_what_the_noise_depends_on_must_be_given(tmp_path: Path, missing: str) -> None:
    with pytest.raises(SettingsError, match=f"needs {missing}"):
        settings(tmp_path, **{missing: None})


def test_what_would_drown_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="learn nothing"):
        Federation(settings(tmp_path, dp_epsilon=0.01))
    assert not (tmp_path / "ledger.sqlite").exists()


def test_what_would_drown_in_the_devices_noise_is_not_told_of_larger_rings(tmp_path: Path) -> None:
    secure = {"secure": True, "by_invitation": True, "rounds": 3, "clients_per_round": 4}
    drowned = AggregatorSettings.parse({"state": tmp_path, "dp_epsilon": 0.01, **secure})
    with pytest.raises(SettingsError, match="learn nothing") as refused:
        Federation(drowned)
    assert "ring" not in refused.value.message
    assert not (tmp_path / "ledger.sqlite").exists()


def test_the_status_says_what_is_spent(tmp_path: Path) -> None:
    federation = Federation(settings(tmp_path))
    opened = come(federation)
    assert opened
    play(federation, opened)
    with History(federation.folder.ledger) as history:
        privacy = status_of(history)["privacy"]
    assert privacy == {
        "epsilon": 1000,
        "delta": 1e-5,
        "spent": federation.ledger.charges()[1],
    }


SECURE = {
    "secure": True,
    "by_invitation": True,
    "ring_bits": 16,
    "codecs": AggregatorSettings().codecs,
}


def under_way(state: Path, how_far: str, **values: Any) -> Federation:
    """Begin a federation whose first round is under way."""
    federation = Federation(settings(state, **values))
    federation.open_round(Opened(1, CLIENTS, 4))
    if how_far == "closed":
        federation.ledger.close_round(1)  # as when its sum is known
    return federation


def by_command(federation: Federation) -> FederationFolder:
    federation.close()
    roll_back(federation.folder, 0)
    return federation.folder


def by_a_backup(federation: Federation) -> FederationFolder:
    file = federation.folder.path.with_name("backup.tar")
    back_up(federation.folder, file)
    federation.close()
    folder = FederationFolder(file.with_name("second"))
    restore(file, folder)
    return folder


WAYS = pytest.mark.parametrize("way", [by_command, by_a_backup])
HOW_FAR = pytest.mark.parametrize("how_far", ["open", "closed"])


@WAYS
@HOW_FAR
def test_a_round_of_devices_noise_is_charged_where_nobody_knows_how_far_it_came(
    tmp_path: Path, how_far: str, way: Callable[[Federation], FederationFolder]
) -> None:
    federation = under_way(tmp_path / "first", how_far, **SECURE)
    private = federation.private
    assert private
    one = private.budget.spent(1)
    with History(way(federation).ledger) as history:
        record = history.round(1)
        assert record
        assert record.state == "abandoned"
        charged, spent = history.charges()
        assert charged == 1
        assert spent == pytest.approx(one)


@WAYS
@HOW_FAR
@pytest.mark.parametrize("values", [{}, {**SECURE, "dp_epsilon": None}])
def test_without_noise_in_its_sum_it_costs_nothing(
    tmp_path: Path,
    how_far: str,
    values: dict[str, Any],
    way: Callable[[Federation], FederationFolder],
) -> None:
    federation = under_way(tmp_path / "first", how_far, **values)
    with History(way(federation).ledger) as history:
        assert history.charges() == (0, 0.0)


@WAYS
def test_a_round_that_had_ended_before_is_not_charged_by_it(
    tmp_path: Path, way: Callable[[Federation], FederationFolder]
) -> None:
    federation = under_way(tmp_path / "first", "open", **SECURE)
    federation.give_up(1, "Too few had come.", known=False)
    with History(way(federation).ledger) as history:
        assert history.charges() == (0, 0.0)


@pytest.mark.parametrize("known", [True, False])
def test_a_rollback_charges_the_open_round_where_its_sum_may_be_known(
    tmp_path: Path, *, known: bool
) -> None:
    with under_way(tmp_path, "open", **SECURE) as federation:
        federation.roll_back(0, known=known)
        assert federation.ledger.charges()[0] == known

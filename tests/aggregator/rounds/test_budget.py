"""A federation with a privacy budget: charged with each model, never refunded, ended by it."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.commands.report import status_of
from aggregator.ledger import History
from aggregator.rounds.federation import Federation
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

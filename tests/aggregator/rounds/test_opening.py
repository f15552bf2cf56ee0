"""Opening a federation: settings, processes and files that do not fit are refused."""

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.ledger.rollback import roll_back
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from aggregator.settings import AggregatorSettings
from shared.errors import FederationError, SettingsError, WeightsError
from shared.model_notes import ModelNotes
from shared.model_notes.calibration import Calibration
from shared.model_notes.model_card import ModelCard, Teaching
from shared.weights import save_weights
from tests.aggregator.driver import come, play, settings
from tests.edge_client.tiny import TINY

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"strategy": "fedbest"}, "fedbest"),
        ({"strategy": "median", "trim": 0.1}, "trim"),
        ({"codecs": "float32, zip"}, "zip"),
    ],
)
def test_wrong_settings_leave_no_trace(tmp_path: Path, values: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        Federation(settings(tmp_path / "state", **values))
    assert not (tmp_path / "state").exists()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    first = Federation(settings(tmp_path))
    with pytest.raises(FederationError, match="in use by another process"):
        Federation(settings(tmp_path))
    first.close()
    Federation(settings(tmp_path)).close()


@pytest.mark.parametrize(
    "values", [{"learning_rate": 0.5}, {"seed": 1}, {"strategy": "median"}, {"averaging": 0.1}]
)
def test_other_settings_that_change_the_result_are_refused(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    Federation(settings(tmp_path)).close()
    with pytest.raises(FederationError, match=f"begun with {next(iter(values))} ="):
        Federation(settings(tmp_path, **values))
    Federation(settings(tmp_path)).close()


def test_the_same_weights_to_start_from_may_be_named_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("first", 1.0), ("other", 2.0)):
        weights = np.full(TINY.parameters, value, np.float32)
        save_weights(tmp_path / f"{name}.safetensors", weights, TINY)
    state, given = tmp_path / "state", tmp_path / "first.safetensors"
    Federation(settings(state, initial=given)).close()
    shutil.copy(given, tmp_path / "copy.safetensors")
    for spelling in ("first.safetensors", "./state/../first.safetensors", "copy.safetensors"):
        Federation(settings(state, initial=Path(spelling))).close()
    with pytest.raises(FederationError, match="begun with initial = "):
        Federation(settings(state, initial=Path("other.safetensors")))
    with pytest.raises(WeightsError, match="There is no file"):
        Federation(settings(state, initial=Path("gone.safetensors")))
    # As it was begun, it need not be there any more.
    given.unlink()
    Federation(settings(state, initial=given)).close()


def test_weights_that_say_more_of_themselves_may_be_named_otherwise_too(tmp_path: Path) -> None:
    card = ModelCard(taught_by=(Teaching(corpus="one", title="One"),), reached={"A": {"all": 1}})
    weights, given = np.ones(TINY.parameters, np.float32), tmp_path / "first.safetensors"
    save_weights(given, weights, TINY, ModelNotes(Calibration(0.5), card))
    Federation(settings(tmp_path / "state", initial=given)).close()
    shutil.copy(given, tmp_path / "copy.safetensors")
    Federation(settings(tmp_path / "state", initial=tmp_path / "copy.safetensors")).close()


BEFORE = (
    '{"state": null, "validation_corpus": null, "validation_data": null, '
    '"validation_normalisation": "device", "codecs": "int8, float32", "largest_norm": 1000.0, '
    '"most_examples": 10000, "chunk": 65536, "quorum": 2, "clients_per_round": null, '
    '"fraction": 1.0, "over_selection": 0.0, "round_seconds": 600.0, "min_updates": 1, '
    '"clients": null, "rounds": 20, "schedule": "constant", "strategy": "fedavg", '
    '"server_learning_rate": null, "server_momentum": null, "server_schedule": "constant", '
    '"averaging": 0.0, "beta1": null, "beta2": null, "tau": null, "bias_correction": null, '
    '"trim": null, "byzantine": null, "select": null, "optimizer": "adam", '
    '"learning_rate": 0.001, "momentum": 0.0, "batch_size": 20, "epochs": null, "steps": null, '
    '"proximal": 0.0, "dropout": true, "augmentation": false, "head_only": false, '
    '"federation": "chorus", "model": "conv", "keep_models": 20, "initial": null, "seed": 0}'
)
"""The settings as version 0.1.0 entered them."""


def test_a_federation_of_version_0_1_goes_on(tmp_path: Path) -> None:
    with Federation(AggregatorSettings(state=tmp_path)) as federation:
        run, ledger = federation.ledger.run, federation.folder.ledger
    with sqlite3.connect(ledger) as connection:
        connection.execute("UPDATE facts SET value = ? WHERE name = 'settings'", (BEFORE,))
    connection.close()
    with Federation(AggregatorSettings(state=tmp_path)) as federation:
        assert federation.ledger.run == run
        assert federation.ledger.settings["codecs"] == ["int8", "float32"]


def test_other_settings_that_do_not_are_taken(tmp_path: Path) -> None:
    Federation(settings(tmp_path)).close()
    with Federation(settings(tmp_path, rounds=9, quorum=3, round_seconds=5)) as federation:
        assert federation.ledger.settings["rounds"] == 9
        run = federation.ledger.run
    with Federation(settings(tmp_path)) as federation:
        assert federation.ledger.run == run
    other = tmp_path / "cosine"
    Federation(settings(other, schedule="cosine")).close()
    with pytest.raises(FederationError, match="begun with rounds ="):
        Federation(settings(other, schedule="cosine", rounds=9))


def damaged_at(federation: Federation, digest: str) -> None:
    """Cut a model's file short."""
    path = federation.files.path(digest)
    os.truncate(path, path.stat().st_size - 100)


@pytest.mark.parametrize("which", ["digest", "average"])
def test_a_model_cut_short_is_refused_at_the_start_and_can_be_gone_back_from(
    tmp_path: Path, which: str
) -> None:
    given = settings(tmp_path, quorum=4, averaging=0.5)
    federation = Federation(given)
    step = come(federation)
    assert isinstance(step, Opened)
    play(federation, step)
    federation.close()
    damaged_at(federation, getattr(federation.current, which))
    with pytest.raises(FederationError, match="missing or damaged") as caught:
        Federation(given)
    assert "aggregator models rollback" in caught.value.remedy
    with pytest.raises(FederationError, match="missing or damaged"):
        roll_back(federation.folder, 1)
    roll_back(federation.folder, 0)
    with Federation(given) as again:
        assert again.current.round == 0


def begun(state: Path, rounds: int = 1, **values: Any) -> Federation:
    """Begin a federation, play so many rounds, and end its process."""
    federation = Federation(settings(state, quorum=4, **values))
    step = come(federation)
    for _ in range(rounds):
        assert isinstance(step, Opened)
        step = play(federation, step)  # type: ignore[assignment] # a round opens each time
    federation.close()
    return federation


@pytest.mark.parametrize("keep", [1, 20])
def test_an_empty_ledger_beside_models_is_refused_and_they_stay(tmp_path: Path, keep: int) -> None:
    federation = begun(tmp_path, keep_models=keep)
    before = sorted(federation.folder.models.iterdir())
    kept = federation.folder.ledger.rename(tmp_path / "kept.sqlite")
    for _ in range(2):
        with pytest.raises(FederationError, match="names none of the models") as caught:
            Federation(settings(tmp_path, quorum=4, keep_models=keep, seed=5))
        assert "another --state" in caught.value.remedy
    assert sorted(federation.folder.models.iterdir()) == before
    kept.rename(federation.folder.ledger)
    with Federation(settings(tmp_path, quorum=4, keep_models=keep)) as again:
        assert again.current.round == 1


def test_a_ledger_of_another_federation_is_refused(tmp_path: Path) -> None:
    federation, other = begun(tmp_path / "a"), begun(tmp_path / "b", seed=7)
    before = sorted(federation.folder.models.iterdir())
    other.folder.ledger.replace(federation.folder.ledger)
    with pytest.raises(FederationError, match="names none of the models"):
        Federation(settings(tmp_path / "a", quorum=4, seed=7))
    assert sorted(federation.folder.models.iterdir()) == before


def test_it_begins_though_it_was_killed_before_its_first_entry(tmp_path: Path) -> None:
    Federation(settings(tmp_path)).close()
    for file in tmp_path.glob("ledger.sqlite*"):
        file.unlink()
    with Federation(settings(tmp_path)) as federation:
        assert federation.current.origin == "initial"

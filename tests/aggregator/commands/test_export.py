"""``aggregator export``: what the ledger tells, in TensorBoard and MLflow."""

from pathlib import Path

import pytest

from aggregator.ledger import History
from aggregator.rounds.federation import Federation
from shared.errors import SettingsError, TrackingError
from shared.weights import load_weights
from tests.aggregator.commands.test_commands import federation, run
from tests.aggregator.driver import CLIENTS, put, random_update
from tests.brokers import free_port
from tests.edge_client.tiny import TINY

pytestmark = pytest.mark.usefixtures("tiny")

__all__ = ["federation"]


def end_round(federation: Federation, number: int) -> None:
    """Let the open round have its model."""
    step = None
    for client in CLIENTS[1:]:
        step = put(federation, number, random_update(client, number))
    federation.close_round(step)  # type: ignore[arg-type] # all have answered
    federation.rounds.end(0)


def test_the_rounds_of_a_ledger_are_curves_in_tensorboard(
    federation: Federation, tmp_path: Path
) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator
    board = tmp_path / "board"
    for rounds in (2, 3):
        assert f"{rounds} rounds of chorus" in run("export", "--tensorboard", str(board)).stderr
        seen = accumulator(str(board / "chorus"))
        seen.Reload()
        assert [event.step for event in seen.Scalars("round/loss")] == [1, 2, 3][:rounds]
        assert [event.value for event in seen.Scalars("round/clients")] == [4.0] * rounds
        with History(tmp_path / "ledger.sqlite") as history:
            for event in seen.Scalars("round/loss"):
                record = history.round(event.step)
                assert record
                assert (event.value, event.wall_time) == (record.loss, record.ended)
        (settings,) = seen.Tensors("settings")
        assert b'strategy = "fedadam"' in settings.tensor_proto.string_val[0]
        if rounds == 2:
            end_round(federation, 3)


def test_mlflow_gets_what_is_new_and_the_current_model(
    federation: Federation, tmp_path: Path
) -> None:
    tracking = pytest.importorskip("mlflow.tracking", reason="MLflow is missing")
    uri = str(tmp_path / "mlruns")
    for rounds in (2, 2, 3):
        if rounds == 3:
            end_round(federation, 3)
        run("export", "--mlflow", uri)
        client = tracking.MlflowClient(uri)
        experiment = client.get_experiment_by_name("chorus federations")
        (found,) = client.search_runs([experiment.experiment_id])
        assert found.data.params["strategy"] == "fedadam"
        curve = client.get_metric_history(found.info.run_id, "round/loss")
        assert [point.step for point in curve] == [1, 2, 3][:rounds]
        model = client.download_artifacts(found.info.run_id, "model/model.safetensors")
        average = federation.current.average
        assert average
        expected = federation.files.weights(average)
        assert load_weights(Path(model), TINY).tobytes() == expected.tobytes()


def test_a_place_that_is_missing_or_away_is_said(federation: Federation) -> None:
    assert federation
    with pytest.raises(SettingsError, match="where the federation is to be shown"):
        run("export")
    pytest.importorskip("mlflow.tracking", reason="MLflow is missing")
    with pytest.raises(TrackingError, match="does not answer"):
        run("export", "--mlflow", f"http://127.0.0.1:{free_port()}")

"""``aggregator export``: what the ledger tells, in TensorBoard and MLflow."""

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aggregator.commands.curves import tracked_run
from aggregator.commands.pictures import draw_federation
from aggregator.ledger import History
from aggregator.rounds.federation import Federation
from shared.errors import MissingPartError, SettingsError, TrackingError
from shared.tracking.events_file import EventsFile, own_folder
from shared.weights import load_weights
from tests.aggregator.commands.test_commands import federation, run
from tests.aggregator.driver import CLIENTS, CONFUSION, put, random_update, settings
from tests.brokers import free_port
from tests.edge_client.tiny import TINY
from tests.end_to_end.test_mlflow import SERVER, client_of, serving

if TYPE_CHECKING:
    from shared.metrics import Scores

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
        assert seen.Tags()["images"] == ["history", "confusion-devices"]
        (picture,) = seen.Images("history")
        assert (picture.step, picture.encoded_image_string[:4]) == (rounds, b"\x89PNG")
        if rounds == 2:
            end_round(federation, 3)


def test_another_federation_of_the_same_name_keeps_its_curves(
    federation: Federation, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    assert federation.current
    board = tmp_path / "board"
    other = EventsFile(own_folder(board / "chorus", b"another"))
    other.begin(0, "")
    theirs = sorted((board / "chorus").iterdir())
    for _ in range(2):
        run("export", "--tensorboard", str(board))
        assert sorted((board / "chorus").iterdir()) == theirs
        assert list((board / "chorus-2").glob("events.out.*"))
        assert not (board / "chorus-3").exists()


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
        check_model(client, found.info.run_id, federation)
        pictures = client.list_artifacts(found.info.run_id, "pictures")
        drawn = ["pictures/confusion-devices.png", "pictures/history.png"]
        assert [picture.path for picture in pictures] == drawn
    federation.ledger.roll_back(federation.ledger.find(1))
    run("export", "--mlflow", uri)
    with History(tmp_path / "ledger.sqlite") as history:
        assert federation.current != history.current()
    check_model(client, found.info.run_id, federation)


@pytest.mark.skipif(not shutil.which(SERVER), reason="no MLflow server: name it by CHORUS_MLFLOW")
def test_the_real_server_gets_pictures_and_model(federation: Federation, tmp_path: Path) -> None:
    with serving(tmp_path / "server", free_port()) as uri:
        run("export", "--mlflow", uri)
        client = client_of(uri)
        experiment = client.get_experiment_by_name("chorus federations")
        (found,) = client.search_runs([experiment.experiment_id])
        check_model(client, found.info.run_id, federation)
        (kept,) = tmp_path.glob("server/**/pictures/history.png")
        assert kept.read_bytes().startswith(b"\x89PNG")


def check_model(client: Any, identifier: str, federation: Federation) -> None:
    """Check that MLflow has the current model, as the ledger knows it."""
    with History(federation.ledger.path) as history:
        current = history.current()
    assert current
    assert current.average
    kept = client.download_artifacts(identifier, "model/model.safetensors")
    expected = federation.files.weights(current.average)
    assert load_weights(Path(kept), TINY).tobytes() == expected.tobytes()


def test_pictures_are_of_what_the_ledger_knows(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: dict[str, Scores] = {}
    monkeypatch.setattr(
        "aggregator.commands.pictures.draw_confusion",
        lambda scores, path: scored.update({path.name: scores}),
    )
    validated = [[5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 4, 1], [0, 0, 0, 5]]
    with History(federation.ledger.path) as history:
        current = history.current()
        assert current
        points = tracked_run(history).points
        drawn = draw_federation(history, points, tmp_path)
        assert [path.name for path in drawn] == ["history.png", "confusion-devices.png"]
        monkeypatch.setattr(
            history, "current", lambda: dataclasses.replace(current, validation=validated)
        )
        drawn = draw_federation(history, points, tmp_path)
    assert [path.name for path in drawn] == [
        "history.png",
        "confusion.png",
        "confusion-devices.png",
    ]
    assert [list(row) for row in scored["confusion.png"].confusion] == validated
    told = [[4 * count for count in row] for row in CONFUSION]
    assert [list(row) for row in scored["confusion-devices.png"].confusion] == told


def test_a_federation_without_a_round_has_no_picture(tmp_path: Path) -> None:
    Federation(settings(tmp_path))
    with History(tmp_path / "ledger.sqlite") as history:
        assert not draw_federation(history, [], tmp_path)


def test_a_missing_package_is_said_before_anything_is_written(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert federation
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPartError, match="need matplotlib"):
        run("export", "--tensorboard", str(tmp_path / "board"))
    assert not (tmp_path / "board").exists()


def test_a_place_that_is_missing_or_away_is_said(federation: Federation) -> None:
    assert federation
    with pytest.raises(SettingsError, match="where the federation is to be shown"):
        run("export")
    pytest.importorskip("mlflow.tracking", reason="MLflow is missing")
    with pytest.raises(TrackingError, match="does not answer"):
        run("export", "--mlflow", f"http://127.0.0.1:{free_port()}")

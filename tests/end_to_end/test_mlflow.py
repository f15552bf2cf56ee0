"""What ``--mlflow`` gives, read back by MLflow: from a folder, and from its server."""

import csv
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from shared.tracking.mlflow_server import MlflowServer
from tests.brokers import free_port, wait_until
from tests.end_to_end.conftest import Command

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="MLflow is missing (mlflow-skinny)"
)

SERVER = os.environ.get("CHORUS_MLFLOW", "")
"""The program of a whole MLflow; it is large, and in an environment of its own."""

LINE = "simulate --corpus manifest --folds 3 --clients 3 --rounds 3 --out run"
ROUNDS = [1, 2, 3]


@contextmanager
def serving(folder: Path, port: int) -> Iterator[str]:
    """Run the real server; give its URI."""
    folder.mkdir(exist_ok=True)
    words = f"server --host 127.0.0.1 --port {port} --workers 1 --backend-store-uri sqlite:///m.db"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [SERVER, *words.split(), "--artifacts-destination", "files"],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    uri = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{uri}/health") as answer:  # noqa: S310 -- our own
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        for _ in range(4):  # it imports much
            try:
                wait_until(answers, "MLflow answers")
                break
            except AssertionError:
                assert process.poll() is None, (folder / "log").read_text()
        yield uri
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def client_of(uri: str) -> Any:
    """Give what asks MLflow for its runs."""
    from mlflow.tracking import MlflowClient

    MlflowServer(uri)  # sets up what MLflow asks its environment for
    return MlflowClient(uri)


def runs(uri: str) -> list[Any]:
    """Give all runs there are."""
    client = client_of(uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    return list(client.search_runs(experiments))


def check(uri: str, folder: Path) -> None:
    """Check that the one run that MLflow has is that of the folder."""
    client = client_of(uri)
    (run,) = runs(uri)
    identifier = run.info.run_id
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert (run.data.params["rounds"], run.data.params["clients"]) == ("3", "3")
    with (folder / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("loss", "validation_uar"):
        curve = client.get_metric_history(identifier, f"round/{name}")
        assert [point.step for point in curve] == ROUNDS
        assert [point.value for point in curve] == pytest.approx(
            [float(row[name]) for row in rows], rel=1e-4
        )
    result = json.loads((folder / "result.json").read_text())
    assert run.data.metrics["test/uar"] == result["uar"]
    kept = client.download_artifacts(identifier, "model/model.safetensors")
    assert Path(kept).read_bytes() == (folder / "model.safetensors").read_bytes()
    pictures = {Path(entry.path).name for entry in client.list_artifacts(identifier, "pictures")}
    assert pictures == {"confusion.png", "history.png", "partition.png", "reliability.png"}


def test_a_run_is_seen_in_a_folder_of_mlflow_once(
    edge_client: Command, small_corpus: Path, tmp_path: Path
) -> None:
    words = [*LINE.split(), "--data", small_corpus, "--mlflow", "mlruns"]
    for more in (["--json"], ["--resume"]):
        made = edge_client(*words, *more)
        assert made.code == 0, made.err
        if more == ["--json"]:
            assert json.loads(made.out)["rounds"] == 3, "MLflow prints nothing of its own"
        check(str(tmp_path / "mlruns"), tmp_path / "run")
    made = edge_client(*words, "--overwrite")
    assert made.code == 0, made.err
    assert len(runs(str(tmp_path / "mlruns"))) == 2, "the run in its place is another one"


STUDY = """
[settings]
corpus = "manifest"
data = "{corpus}"
folds = 3
clients = 3
rounds = 1
steps = 1
model = "tdnn"
engine = "tflite"
[grid]
batch_size = [2, 4]
"""


def test_the_runs_of_a_study_are_in_one_experiment_and_one_folder(
    edge_client: Command, small_corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(corpus=small_corpus))
    line = ["sweep", "study.toml", "--out", "runs/sizes", "--tensorboard", "board", "--mlflow"]
    made = edge_client(*line, f"http://127.0.0.1:{free_port()}")
    assert made.code == 0, made.err
    names = [f"batch_size={size} seed-0-fold-1" for size in (2, 4)]
    last = made.err[made.err.index("Not delivered: ") :].split(". ")[0]
    assert sorted(last.removeprefix("Not delivered: ").split(", ")) == names
    made = edge_client(*line, "mlruns")
    assert made.code == 0, made.err
    client = client_of(str(tmp_path / "mlruns"))
    experiment = client.get_experiment_by_name("sizes")
    found = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in found) == names
    folders = [path.parent for path in (tmp_path / "board").rglob("events*")]
    expected = [tmp_path / "board" / "sizes" / Path(*name.split()) for name in names]
    assert sorted(folders) == expected


def test_an_address_that_mlflow_cannot_use_is_named_before_the_run_begins(
    edge_client: Command, tmp_path: Path
) -> None:
    refused = edge_client("simulate", "--mlflow", "gopher://bob:secret@lab", "--out", "run")
    assert refused.code == 2
    assert "MLflow cannot use gopher://lab" in refused.err
    assert "secret" not in refused.err
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_away_is_said_in_a_sentence_and_delivered_to_later(
    edge_client: Command, small_corpus: Path, tmp_path: Path
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    words = [*LINE.split(), "--data", small_corpus, "--mlflow"]
    made = edge_client(*words, away)
    assert made.code == 0, made.err
    said = [line for line in made.err.splitlines() if "MLflow" in line]
    assert said == [
        f"MLflow at {away} does not answer. The runs go on, and are delivered when it does."
    ]
    assert "Not delivered: run." in made.err
    made = edge_client(*words, "mlruns", "--resume")
    assert made.code == 0, made.err
    check(str(tmp_path / "mlruns"), tmp_path / "run")


@pytest.mark.skipif(not shutil.which(SERVER), reason="no MLflow server: name it by CHORUS_MLFLOW")
def test_a_run_is_seen_at_the_real_server_also_when_it_comes_late(
    edge_client: Command, small_corpus: Path, tmp_path: Path
) -> None:
    port = free_port()
    words = [*LINE.split(), "--data", small_corpus, "--mlflow", f"http://127.0.0.1:{port}"]
    made = edge_client(*words)
    assert made.code == 0, made.err
    assert "Not delivered: run." in made.err
    with serving(tmp_path / "server", port) as uri:
        made = edge_client(*words, "--resume")
        assert made.code == 0, made.err
        assert "MLflow" not in made.err
        check(uri, tmp_path / "run")

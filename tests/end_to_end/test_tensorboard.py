"""What ``--tensorboard`` writes, read by TensorBoard's own package."""

import csv
import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Command

ROUNDS = [1, 2, 3]


def test_a_folder_that_cannot_be_made_is_named_before_the_run_begins(
    edge_client: Command, tmp_path: Path
) -> None:
    (tmp_path / "board").write_text("a file")
    refused = edge_client("simulate", "--tensorboard", "board", "--out", "run")
    assert refused.code == 14
    assert "Cannot write board" in refused.err
    assert not (tmp_path / "run").exists()


def test_a_run_is_seen_in_tensorboard(
    edge_client: Command, small_corpus: Path, tmp_path: Path
) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator
    line = "simulate --corpus manifest --folds 3 --clients 3 --rounds 3 --out run"
    words = [*line.split(), "--data", small_corpus, "--tensorboard", "board"]
    for more in ([], ["--resume"], ["--overwrite"]):
        made = edge_client(*words, *more)
        assert made.code == 0, made.err
        seen = accumulator(str(tmp_path / "board" / "run"), size_guidance={"images": 0})
        seen.Reload()
        with (tmp_path / "run" / "rounds.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for name in ("loss", "validation_uar"):
            events = seen.Scalars(f"round/{name}")
            assert [event.step for event in events] == ROUNDS
            assert [event.value for event in events] == pytest.approx(
                [float(row[name]) for row in rows], rel=1e-4
            )
        result = json.loads((tmp_path / "run" / "result.json").read_text())
        (scored,) = seen.Scalars("test/uar")
        assert (scored.step, scored.value) == (3, pytest.approx(result["uar"]))
        pictures = {"confusion", "history", "partition", "reliability"}
        assert set(seen.Tags()["images"]) == pictures
        (picture,) = seen.Images("history")
        assert picture.encoded_image_string == (tmp_path / "run" / "history.png").read_bytes()
        (settings,) = seen.Tensors("settings")
        assert b"clients = 3" in settings.tensor_proto.string_val[0]

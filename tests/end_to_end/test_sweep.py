"""``edge-client sweep`` and ``compare`` in processes of their own."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from edge_client.simulation.run_folder import RunFolder
from tests.end_to_end.conftest import EDGE_CLIENT
from tests.end_to_end.test_simulate import until

pytestmark = pytest.mark.usefixtures("environment")

STUDY = """
[settings]
corpus = "manifest"
data = "{corpus}"
folds = 3
clients = 3
rounds = 6
steps = 1
batch_size = 4
model = "tdnn"
engine = "tflite"

[[runs]]
name = "good"
[[runs]]
name = "wild"
optimizer = "sgd"
learning_rate = 1e9
[[runs]]
name = "killed"
codec = "deadly:DEADLY"
[[runs]]
name = "better"
strategy = "median"
"""

DEADLY = """
import os, signal
from shared.codecs import make_codec

class Deadly(type(make_codec("float32"))):
    name = "deadly:DEADLY"

    def encode(self, *values, **named):
        os.kill(os.getpid(), signal.SIGKILL)

DEADLY = Deadly()
"""


def test_a_run_that_fails_ends_nothing_but_itself_and_a_stopped_study_goes_on(
    small_corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    study = tmp_path / "study.toml"
    study.write_text(STUDY.format(corpus=small_corpus))
    line = [str(EDGE_CLIENT), "sweep", str(study)]

    whole = subprocess.run([*line, "--out", "whole"], capture_output=True, text=True, check=False)
    assert whole.returncode == 13, whole.stderr
    assert "wild seed-0-fold-1  failed: " in whole.stderr
    assert "killed seed-0-fold-1  failed: Its process ended with code -9." in whole.stderr
    told = whole.stderr.replace("\n", " ")
    assert "2 of 4 runs failed: " in told
    assert "Traceback" not in whole.stderr
    document = json.loads((tmp_path / "whole" / "result.json").read_text())
    assert document["summary"] == "sweep"
    assert [cell["name"] for cell in document["cells"]] == ["good", "better"]
    assert set(document["failures"]) == {"wild seed-0-fold-1", "killed seed-0-fold-1"}
    assert (tmp_path / "whole" / "rounds.svg").exists()

    parts = [*line, "--out", "parts", "--jobs", "1"]
    stopped = until(parts, "good seed-0-fold-1  round 2/", lambda p: p.send_signal(signal.SIGINT))
    assert stopped.code == 130, stopped.err
    assert "keep what was reached" in stopped.err
    assert "Traceback" not in stopped.err
    subprocess.run(parts, capture_output=True, check=False)
    for name in ("good", "better"):
        models = [
            (tmp_path / out / name / "seed-0-fold-1" / "model.safetensors").read_bytes()
            for out in ("whole", "parts")
        ]
        assert models[0] == models[1]

    runs = [f"whole/{name}" for name in ("good", "better")]
    compared = subprocess.run(
        [str(EDGE_CLIENT), "compare", *runs, "--out", "both", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0, compared.stderr
    cells = json.loads(compared.stdout)["cells"]
    assert [cell["name"] for cell in cells] == ["good", "better"]
    assert cells[0]["confusion"] == document["cells"][0]["confusion"]
    assert (tmp_path / "both" / "table.tex").exists()
    other = subprocess.run(
        [str(EDGE_CLIENT), "compare", *runs, "--out", "whole"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 13, "the study's own summary is not replaced"
    assert "is of something else, and would be replaced" in other.stderr

    with RunFolder(tmp_path / "whole").locked():
        beside = subprocess.run(
            [*line, "--out", "whole"], capture_output=True, text=True, check=False
        )
    assert beside.returncode == 13
    assert "whole is in use by another process" in beside.stderr.replace("\n", " ")

    (tmp_path / "whole" / "good" / "seed-0-fold-1" / "result.json").write_text("{")
    again = subprocess.run([*line, "--out", "whole"], capture_output=True, text=True, check=False)
    assert again.returncode == 13
    assert "result.json is damaged" in again.stderr.replace("\n", " ")
    assert "3 of 4 runs failed: " in again.stderr.replace("\n", " ")
    document = json.loads((tmp_path / "whole" / "result.json").read_text())
    assert [cell["name"] for cell in document["cells"]] == ["better"], "the others are compared"

"""``edge-client run`` before it runs."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from edge_client.cli import app


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("3", "3")])
def test_numpy_keeps_to_one_thread_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    found: list[str | None] = []
    monkeypatch.setattr(
        "edge_client.run.run_device", lambda _: found.append(os.environ.get("OPENBLAS_NUM_THREADS"))
    )
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", before or "")
    if before is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    done = CliRunner().invoke(app, ["run", "--mic"])
    assert (done.exit_code, found) == (0, [after])


def test_numpy_is_not_there_before_it_is_told() -> None:
    looked = "import sys, edge_client.cli, edge_client.commands.run; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", looked], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"

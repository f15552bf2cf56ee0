"""``edge-client run`` before it runs."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from edge_client import run
from edge_client.cli import app
from edge_client.settings import RunSettings


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well_while_clips_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    def unexpected(*_: object) -> NoReturn:
        raise AssertionError("nobody has taken the signal")

    monkeypatch.setattr(
        "edge_client.federation.taking_part.load_corpus", lambda *_: signal.raise_signal(number)
    )
    before = signal.signal(number, unexpected)
    try:
        with pytest.raises(SystemExit) as ended:
            run.run_device(RunSettings(clips=tmp_path, client="pi", state=tmp_path / "state"))
        assert ended.value.code == 0
        assert signal.getsignal(number) is unexpected
    finally:
        signal.signal(number, before)

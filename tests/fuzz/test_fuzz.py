"""Short runs of the fuzzer, from good inputs."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import ChorusError
from tests.fuzz import strangers
from tests.fuzz.readers import DECODERS, READERS


@pytest.mark.parametrize("name", DECODERS)
def test_good_inputs_are_read(name: str) -> None:
    """Else a fuzzer would begin far from all that can be read."""
    reader, read = READERS[name], 0
    for data in reader.inputs():
        try:
            reader.read(data)
            read += 1
        except ChorusError:
            pass
    assert read


@pytest.mark.parametrize(
    ("name", "ask"),
    [("page", strangers.to_device_page), ("operator", strangers.to_operator_page)],
)
def test_a_browser_that_was_let_in_is_among_the_strangers(
    name: str, ask: Callable[[bytes, float], bytes]
) -> None:
    """Else nothing behind the door would be fuzzed."""
    asked = [data for data in READERS[name].inputs() if b"Cookie" in data]
    answers = [ask(data, strangers.PATIENCE).partition(b"\r\n")[0] for data in asked]
    assert answers == [b"HTTP/1.1 200 OK"] * len(asked)


RUNS = {"decoders": 1500, "page": 50, "operator": 50, "broker": 30, "client": 300}


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed")
def test_nothing_is_found_in_a_short_run(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.fuzz",
        *(f"{n}={runs}" for n, runs in RUNS.items()),
    ]
    command += ["-seed=1", f"-artifact_prefix={tmp_path}/"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    done = [int(count) for count in re.findall(r"Done (\d+) runs", result.stderr)]
    assert len(done) == len(RUNS), result.stderr[-3000:]
    assert all(found >= wanted for found, wanted in zip(done, RUNS.values(), strict=True))

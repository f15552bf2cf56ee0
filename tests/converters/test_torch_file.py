"""What a ``.pt`` of PyTorch may ask for: tensors, and nothing that costs more than the file."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from converters.encoders.torch_file import read_tensors
from tests.converters.layouts import HOSTILE, write_hostile, write_shared

_PROGRAM = """
import pathlib, resource, sys
from converters.encoders.torch_file import read_tensors
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_tensors(pathlib.Path(sys.argv[1]), "model_state")
except ValueError as error:
    print(error)
else:
    print("read")
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 300_000, "KiB"
"""


def read_elsewhere(path: Path) -> str:
    """Read it in a process of its own; give what that says of it."""
    command = [sys.executable, "-c", _PROGRAM, str(path)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert made.returncode == 0, made.stderr[-500:]
    return made.stdout


@pytest.mark.parametrize("old", [True, False], ids=["before-1.6", "archive"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_crashes_nothing_and_takes_no_memory(
    tmp_path: Path, name: str, *, old: bool
) -> None:
    path, pickled = tmp_path / "hostile.pt", HOSTILE[name]
    write_hostile(path, pickled.replace(4000 * b"\x85", 5_000_000 * b"\x85"), old=old)
    assert "read" not in read_elsewhere(path).split()


def test_a_part_in_which_many_tensors_lie_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, value = tmp_path / "shared.pt", np.ones((1000, 1000), np.float32)
    write_shared(path, 500, value, monkeypatch)
    assert read_elsewhere(path) == "read\n"
    found = read_tensors(path, "model_state")
    assert len(found) == 500
    np.testing.assert_array_equal(found["7"], value)


def test_parts_that_lie_on_one_another_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shared.pt"
    write_shared(path, 2, np.ones((100, 100), np.float32), monkeypatch)
    real = zipfile.ZipFile.getinfo

    def larger(self: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
        found = real(self, name)
        found.file_size += 100_000 if "/data/" in name else 0
        return found

    monkeypatch.setattr(zipfile.ZipFile, "getinfo", larger)
    with pytest.raises(ValueError, match="its parts have more bytes than the file"):
        read_tensors(path, "model_state")


def test_what_an_instruction_is_not_of_pytorch_is_said(tmp_path: Path) -> None:
    write_hostile(tmp_path / "set.pt", b"\x80\x04\x8f.", old=False)
    with pytest.raises(ValueError, match="has the instruction EMPTY_SET, which no tensor needs"):
        read_tensors(tmp_path / "set.pt", "model_state")

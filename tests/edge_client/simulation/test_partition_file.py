"""A partition that a file gives."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.simulation.data import divide
from edge_client.simulation.partition_file import divide_by_file
from edge_client.simulation.settings import SimulationSettings
from shared.errors import SettingsError
from tests.edge_client.tiny import utterances

CLIPS = np.array(["a/1.wav", "a/2.wav", "b/1.wav", "c d.wav"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("partitions")


def written(folder: Path, text: str) -> Path:
    path = folder / "who.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


@given(held=st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=1, max_size=12))
@settings(deadline=None)
def test_each_client_gets_its_clips(folder: Path, held: list[set[int]]) -> None:
    rows = [f'"{CLIPS[place]}",c{n:02}' for n, places in enumerate(held) for place in places]
    path = written(folder, "\n".join(["clip,client", *reversed(rows)]))
    parts = divide_by_file(path, CLIPS)
    assert [set(part.tolist()) for part in parts] == held
    assert all((np.diff(part) > 0).all() and part.dtype == np.int64 for part in parts)


def test_columns_may_be_in_any_order(folder: Path) -> None:
    path = written(folder, "client,clip\nzoe,a/1.wav\nanna,b/1.wav\nzoe,a/1.wav\n")
    assert [part.tolist() for part in divide_by_file(path, CLIPS)] == [[2], [0]]


def test_what_is_left_out_is_named_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ("x.wav,anna", "y.wav,anna", "x.wav,ben", "a/1.wav,anna", "b/1.wav,ben")
    path = written(tmp_path, "\n".join(["clip,client", *rows]))
    with caplog.at_level(logging.WARNING):
        divide_by_file(path, CLIPS)
        divide_by_file(path, CLIPS)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 2 clips are not in the training set and are left out; the first is 'x.wav'.",
        f"{path}: 2 clips of the training set are not in it and are left out.",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has other columns than clip,client: ''"),
        ("clip,client\n", "names no clips"),
        ("clip,device\na/1.wav,anna\n", "has other columns than clip,client: 'clip,device'"),
        (
            "clip,client,age\na/1.wav,anna,3\n",
            "has other columns than clip,client: 'clip,client,age'",
        ),
        ("clip,clip,client\na/1.wav,b,c\n", "has other columns than clip,client"),
        ("clip,client\na/1.wav\n", "line 2: there should be a clip and a client"),
        ("clip,client\na/1.wav,anna\n,ben\n", "line 3: there should be a clip and a client"),
        ("clip,client\na/1.wav,anna,x\n", "line 2: there should be a clip and a client"),
        ('clip,client\n"a,b\n', "is not a CSV file in UTF-8"),
        (
            "clip,client\na/1.wav,anna\nz.wav,ben\n",
            "the client 'ben' has no clip in the training set",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(folder: Path, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        divide_by_file(written(folder, text), CLIPS)
    assert sentence in raised.value.problem
    assert "\n" not in raised.value.problem


def test_bytes_that_are_no_text_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"clip,client\n\xff\xfe,a\n")
    with pytest.raises(SettingsError, match="not a CSV file in UTF-8"):
        divide_by_file(tmp_path / "x.csv", CLIPS)
    with pytest.raises(SettingsError, match="no partition"):
        divide_by_file(tmp_path / "gone.csv", CLIPS)
    with pytest.raises(SettingsError, match="Cannot read the partition"):
        divide_by_file(tmp_path, CLIPS)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SettingsError, match=r"Cannot read the partition .*: it is not a file"):
        divide_by_file(tmp_path / "pipe.csv", CLIPS)


def test_a_simulation_divides_its_training_set_by_a_file(tmp_path: Path) -> None:
    plain = utterances(6, 4)
    clips = np.array([f"{number}.wav" for number in range(24)])
    whole = replace(plain, clips=clips)
    parts, _ = divide(whole, SimulationSettings())
    rows = [f"{clips[place]},client-{number % 3}" for number, place in enumerate(parts.train)]
    path = written(tmp_path, "\n".join(["clip,client", *rows]))
    _, held = divide(whole, SimulationSettings(partition=str(path)))
    assert [part.tolist() for part in held] == [parts.train[n::3].tolist() for n in range(3)]
    _, fewer = divide(whole, SimulationSettings(partition=str(path), examples_per_client=2))
    assert [len(part) for part in fewer] == [2, 2, 2]
    with pytest.raises(SettingsError, match=r"who\.csv made 3 clients, not 4"):
        divide(whole, SimulationSettings(partition=str(path), clients=4))

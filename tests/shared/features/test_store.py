"""The file of computed features: shared, killed, damaged, in the way."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.features import store as store_module
from shared.features.store import FeatureStore, cache_folder
from shared.frames import Frames

clip_features = st.integers(1, 100).flatmap(lambda n: arrays(np.float32, (n, 34)))


def some(count: int = 40, longest: int = 100) -> dict[bytes, Frames]:
    random = np.random.default_rng(0)
    return {
        bytes([number] * 32): random.standard_normal((1 + number % longest, 34), np.float32)
        for number in range(count)
    }


def filled(folder: Path) -> FeatureStore:
    with FeatureStore(folder) as store:
        store.add(some())
    return store


@given(st.dictionaries(st.binary(min_size=32, max_size=32), clip_features, max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_is_added_is_found_bit_for_bit(features: dict[bytes, Frames]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with FeatureStore(Path(folder)) as store:
            store.add(features)
            store.add(features)
        with FeatureStore(Path(folder)) as store:
            found = store.find([*features, b"another"], 34)
    assert {key: frames.tobytes() for key, frames in found.items()} == {
        key: frames.tobytes() for key, frames in features.items()
    }


def test_more_keys_than_sqlite_takes_at_once(tmp_path: Path) -> None:
    filled(tmp_path)
    keys = [*some(), *(number.to_bytes(32) for number in range(1, 40_000))]
    with FeatureStore(tmp_path) as store:
        assert store.find(keys[::-1], 34).keys() == some().keys()


def test_the_oldest_make_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_CLIPS", 30)
    with filled(tmp_path) as store:
        assert list(store.find(list(some()), 34)) == list(some())[10:]


def test_the_oldest_make_way_before_the_file_grows_beyond_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_BYTES", 4_000_000)
    clip = np.ones((1000, 40), np.float32)
    with FeatureStore(tmp_path) as store:
        for number in range(60):
            store.add({number.to_bytes(32): clip})
        keys = [number.to_bytes(32) for number in range(60)]
        kept = store.find(keys, 40)
    assert 20 <= len(kept) <= 25
    assert list(kept) == keys[-len(kept) :]
    assert store.path.stat().st_size < 4_500_000


def test_rows_that_are_no_whole_frames_are_not_found(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        store.add({b"34": np.ones((5, 34), np.float32), b"40": np.ones((34, 40), np.float32)})
        assert store.find([b"34", b"40"], 40).keys() == {b"40"}


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"CHORUS_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"CHORUS_CACHE": "~/d", "HOME": "/c"}, "/c/d"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/chorus"),
        ({"HOME": "/c"}, "/c/.cache/chorus"),
        ({"XDG_CACHE_HOME": "b", "HOME": "/c"}, "/c/.cache/chorus"),
    ],
)
def test_where_it_lies(
    variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHORUS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


def modes(*paths: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in paths]


def test_nobody_else_reads_it_also_one_of_an_earlier_version(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    before = os.umask(0)
    try:
        with FeatureStore(folder) as store:
            store.add(some())
            assert modes(folder) == [0o700]
            assert set(modes(*folder.iterdir())) == {0o600}
    finally:
        os.umask(before)
    aside, other = folder / "features.damaged", folder / "features.csv"
    for path in (store.path, aside, other):
        path.touch()
        path.chmod(0o644)
    with FeatureStore(folder) as store:
        assert len(store.find([*some()], 34)) == 40
        assert modes(store.path, aside, other) == [0o600, 0o600, 0o644]


def overwritten(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def header_kept(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + os.urandom(len(content) - 100))


def schema_changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"CREATE TABLE") + 3] = 128
    path.write_bytes(content)


def of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE features (something)")
    connection.close()


@pytest.mark.parametrize(
    "damage", [overwritten, cut, header_kept, schema_changed, of_another_program]
)
def test_a_damaged_file_is_set_aside_with_a_remark(
    tmp_path: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(filled(tmp_path).path)
    keys = list(some())
    with FeatureStore(tmp_path) as store:
        assert store.find(keys, 34) == {}
        store.add(some())
        assert len(store.find(keys, 34)) == 40
    assert capsys.readouterr().err.count("was damaged") == 1
    assert (tmp_path / "features.damaged").exists()
    with FeatureStore(tmp_path) as store:
        assert len(store.find(keys, 34)) == 40
    assert capsys.readouterr().err == ""


def test_an_empty_file_is_filled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "features.sqlite").touch()
    with filled(tmp_path) as store:
        assert len(store.find(list(some()), 34)) == 40
    assert capsys.readouterr().err == ""


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_changed_bytes_never_give_wrong_features(data: st.DataObject) -> None:
    features = some(longest=1)  # a small file, so that its structure is hit as often as its data
    with tempfile.TemporaryDirectory() as folder:
        with FeatureStore(Path(folder)) as store:
            store.add(features)
        content = bytearray(store.path.read_bytes())
        for _ in range(data.draw(st.integers(1, 20))):
            where = data.draw(st.integers(0, len(content) - 1))
            content[where] = data.draw(st.integers(0, 255))
        store.path.write_bytes(content)
        with FeatureStore(Path(folder)) as store:
            for key, frames in store.find(list(features), 34).items():
                assert np.array_equal(frames, features[key])
            store.add(features)


def test_a_damaged_file_in_use_elsewhere_is_left_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = filled(tmp_path).path
    with FeatureStore(tmp_path) as other:
        other.find([], 34)
        overwritten(path)
        with FeatureStore(tmp_path) as store:
            assert store.find(list(some()), 34) == {}
            store.add(some())
    assert "Going on without the feature cache" in capsys.readouterr().err
    assert not (tmp_path / "features.damaged").exists()


def test_one_that_another_process_has_replaced_is_used(tmp_path: Path) -> None:
    overwritten(filled(tmp_path).path)
    late = FeatureStore(tmp_path)
    late._inode = -1  # as if it had opened the file before the other process set it aside
    assert late._set_aside()
    assert not (tmp_path / "features.damaged").exists()


@pytest.mark.parametrize("obstacle", ["a file for a folder", "a folder for a file"])
def test_a_cache_that_cannot_be_used_is_done_without(
    tmp_path: Path, obstacle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache"
    if obstacle == "a file for a folder":
        folder.touch()
    else:
        (folder / "features.sqlite").mkdir(parents=True)
    with FeatureStore(folder) as store:
        store.add(some())
        assert store.find(list(some()), 34) == {}
    assert capsys.readouterr().err.count("Going on without") == 1


def test_a_file_locked_for_long_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.01)
    writer = sqlite3.connect(filled(tmp_path).path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with FeatureStore(tmp_path) as store:
        store.add({b"new": some()[bytes(32)]})
        assert store.find([b"new"], 34) == {}
    writer.close()
    assert "database is locked" in capsys.readouterr().err
    assert not (tmp_path / "features.damaged").exists()


WRITE = """
import sys
from pathlib import Path
import numpy as np
from shared.features.store import FeatureStore
with FeatureStore(Path(sys.argv[1])) as store:
    number = 0
    while True:
        number += 1
        frames = np.full((100, 34), number, np.float32)
        store.add({number.to_bytes(16) + bytes([part] * 16): frames for part in range(20)})
        print(number, flush=True)
"""


def test_kill_leaves_whole_batches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for batches in (1, 2, 30):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, tmp_path],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        for _ in range(batches):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        told = len(process.communicate()[0].split()) + batches
        with FeatureStore(tmp_path) as store:
            for number in range(1, told + 1):
                keys = [number.to_bytes(16) + bytes([part] * 16) for part in range(20)]
                found = store.find(keys, 34)
                assert len(found) == 20
                assert all((frames == number).all() for frames in found.values())
            beyond = (told + 1).to_bytes(16)
            assert len(store.find([beyond + bytes([part] * 16) for part in range(20)], 34)) in (
                0,
                20,
            )
    assert capsys.readouterr().err == ""

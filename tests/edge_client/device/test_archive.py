"""Examples in a file: whatever is wrong with it is said in one sentence."""

import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.device import archive
from edge_client.device.store import ExampleStore
from shared.errors import CorpusError, StorageError
from shared.storage.array_file import room_for
from shared.task import DEFAULT_TASK, PAPER34, FrontEndShape, Task, labels_of
from tests.edge_client.device.heard import frames, recognised
from tests.edge_client.device.old import OLD

Arrays = dict[str, NDArray[Any]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write three examples, one of them labelled."""
    path = tmp_path / "three.npz"
    with ExampleStore(tmp_path / "examples.sqlite", limit_mb=10) as store:
        for seed in range(3):
            store.add(recognised(), frames(seed))
        store.label(2, "sad")
        archive.export(store, path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(CorpusError) as caught:
        archive.read(path)
    assert "\n" not in caught.value.problem
    assert caught.value.problem.endswith(".")
    return caught.value.problem


def test_what_is_exported_is_its_owner_s_alone_and_comes_back(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    back = archive.read(path)
    assert [known.label for known in back.recognitions] == [None, "sad", None]
    assert np.array_equal(back.features[1, :30], frames(1))
    assert path.stat().st_size < room_for(archive.arrays_of(back))
    assert path.read_bytes()[-22:-18] == b"PK\x05\x06", "it ends where the archive ends"


def test_a_damaged_archive_s_own_words_are_not_repeated_at_length(path: Path) -> None:
    """Python's sentence on two names that differ holds both, whole."""
    content = bytearray(path.read_bytes())
    content[26:28] = b"\xff\x01"  # the first part's header: its name is longer than it is
    path.write_bytes(content)
    sentence = refused(path)
    assert len(sentence) < len(str(path)) + 250
    assert sentence.isprintable()


def test_a_disk_without_room_is_said_before_anything_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="disk is full"):
        archive.write(path, archive.read(path))
    assert path.read_bytes() == before


def test_files_that_are_no_archives_are_refused(path: Path) -> None:
    whole = path.read_bytes()
    for content in (b"", b"RIFF" + bytes(100), whole[:200], whole[:-30], bytes(3) + whole[3:]):
        path.write_bytes(content)
        assert "does not hold examples" in refused(path)
    assert "There is no file" in refused(path.with_name("none"))
    assert "does not hold examples" in refused(path.parent)


def open_descriptors() -> set[int]:
    """List the numbers of what this process has open."""
    return {int(path.name) for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.filterwarnings("error")
def test_damaged_compressed_files_are_refused(path: Path) -> None:
    with np.load(path) as arrays:
        np.savez_compressed(path, **arrays)
    archive.read(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    before = open_descriptors()
    refusals = []  # each keeps what was open when it was raised
    for place in rng.integers(0, len(whole), 60).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            archive.read(path)
        except CorpusError as error:
            refusals.append(error)
    assert len(refusals) > 30
    # What earlier tests left open may be closed meanwhile.
    assert open_descriptors() <= before


def test_a_header_that_promises_too_much_is_refused(path: Path) -> None:
    with np.load(path) as arrays:
        parts = {name: io.BytesIO() for name in arrays.files}
        for name, file in parts.items():
            np.save(file, arrays[name])
    small, large = b"(3, 100, 34), }" + b" " * 12, b"(3000000000000, 100, 34), }"
    assert small in parts["features"].getvalue()
    parts["features"] = io.BytesIO(parts["features"].getvalue().replace(small, large))
    with zipfile.ZipFile(path, "w") as archived:
        for name, part in parts.items():
            archived.writestr(f"{name}.npy", part.getvalue())
    assert "does not hold examples" in refused(path)


def spoil(name: str, value: object) -> Callable[[Arrays], Arrays]:
    def change(arrays: Arrays) -> Arrays:
        spoiled = arrays[name].astype(np.asarray(value).dtype)
        spoiled[1] = value
        return arrays | {name: spoiled}

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spoil("seconds", np.nan), "lasts nan s"),
        (spoil("seconds", -1.0), "lasts -1.0 s"),
        (spoil("seconds", 1e300), "lasts 1e+300 s"),
        (spoil("heard_at", "2026-01-02T12:00:00"), "not a time with a time zone"),
        (spoil("heard_at", "0001-01-01T00:00:00+00:00"), "not a time with a time zone"),
        (spoil("heard_at", "yesterday"), "Invalid isoformat"),
        (spoil("probabilities", np.array([0.1, 2.0, 0.1, 0.1])), "probability is out of range"),
        (spoil("probabilities", np.array([np.nan, 1.0, 0.0, 0.0])), "probability is out of range"),
        (spoil("labels", 4), "out of range"),
        (spoil("labels", 0.5), "no integers"),
        (spoil("frames", 0), "out of range"),
        (spoil("features", np.float32(np.inf)), "out of range"),
        (lambda arrays: arrays | {"features": np.zeros(3, np.float32)}, "its features are"),
        (lambda arrays: arrays | {"speakers": arrays["speakers"][:2]}, "shorter"),
        (lambda arrays: arrays | {"emotions": arrays["label_names"][::-1]}, "other emotions"),
        (lambda arrays: arrays | {"label_names": arrays["label_names"][:3]}, "out of range"),
        (spoil("label_names", "Sad!"), "the label sad! should be"),
        (spoil("names", "angry,sad"), "probability is out of range"),
        (lambda arrays: arrays | {"front_end": np.array("{}")}, "missing 4 required"),
        (lambda arrays: {"features": arrays["features"]}, "frames"),
    ],
)
def test_what_was_never_heard_is_refused(
    path: Path, change: Callable[[Arrays], Arrays], words: str
) -> None:
    with np.load(path) as arrays:
        changed = change(dict(arrays))
    np.savez(path, **changed)
    assert words in refused(path)


MOODS = Task(labels_of(("calm", "sad")), PAPER34)


def test_a_file_from_before_there_were_tasks_is_read() -> None:
    back = archive.read(OLD / "examples.npz")
    assert (back.front_end, back.names) == (PAPER34, DEFAULT_TASK.names)
    assert [known.label for known in back.recognitions] == [None, "happy", "sad", None]
    assert [known.predicted for known in back.recognitions] == [None, "happy", "happy", "happy"]
    assert back.frames.tolist() == [4, 4, 4, 4]


def test_labels_that_the_task_lacks_are_exported_and_taken_in(path: Path, tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "moods.sqlite", limit_mb=10, task=MOODS) as store:
        assert archive.import_(store, path) == 3
        store.add(recognised(0.75, 0.25, task=MOODS), frames(9))
        store.label(4, "calm")
        store.label(1, "sad")
        assert store.counts() == {"calm": 1, "sad": 2, "unlabelled": 1, "discarded": 0}
        archive.export(store, path)
    back = archive.read(path)
    assert back.names == ("calm", "sad")
    with ExampleStore(tmp_path / "again.sqlite", limit_mb=10) as store:
        assert archive.import_(store, path) == 4
        assert (store.counts()["calm"], store.counts()["sad"]) == (1, 2)
        assert [known.predicted for known in store.recent(9)] == ["calm", "happy", "happy", "happy"]
        assert store.labelled(9) == [1, 2], "what the task lacks is not learned from"
        archive.export(store, path)
    assert archive.read(path).names == (*DEFAULT_TASK.names, "calm")
    assert archive.read(path).labels.tolist() == [3, 3, -1, 4]


def test_features_of_another_front_end_are_refused(path: Path, tmp_path: Path) -> None:
    task = Task(DEFAULT_TASK.labels, FrontEndShape("paper34", 2, 100, 34))
    with (
        ExampleStore(tmp_path / "two.sqlite", limit_mb=10, task=task) as store,
        pytest.raises(CorpusError, match=r"features of paper34 1, but this device's .* paper34 2"),
    ):
        archive.import_(store, path)


def test_utterances_of_any_length_come_back(tmp_path: Path) -> None:
    task = Task(DEFAULT_TASK.labels, FrontEndShape("loud", 1, 1000, 34, variable=True))
    with ExampleStore(tmp_path / "any.sqlite", limit_mb=10, task=task) as store:
        for count in (1, 51, 120):
            store.add(recognised(task=task), frames(count, count))
        archive.export(store, tmp_path / "any.npz")
    back = archive.read(tmp_path / "any.npz")
    assert back.features.shape == (3, 150, 34)
    assert back.frames.tolist() == [1, 51, 120]
    assert np.array_equal(back.features[1, :51], frames(51, 51))


def header(count: int) -> bytes:
    """Write what stands before so many utterances' features in a part."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, 100, 34), }}"
    return b"\x93NUMPY\1\0" + (118).to_bytes(2, "little") + text.ljust(117).encode() + b"\n"


def packed(path: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archived:
        for name, content in parts.items():
            archived.writestr(f"{name}.npy", content)


def test_what_would_unpack_to_gigabytes_is_refused_before_it_is(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archived,
        archived.open("features.npy", "w", force_zip64=True) as part,
    ):
        part.write(header(80_000))
        for _ in range(800):
            part.write(bytes(100 * 100 * 34 * 4))
    assert path.stat().st_size < 2_000_000
    tracemalloc.start()
    assert "larger than 1024 MiB" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_part_that_has_not_the_bytes_of_its_shape_is_refused_unread(path: Path) -> None:
    packed(path, {"features": header(1 << 40) + bytes(400)})
    assert "has not the bytes of its shape" in refused(path)
    packed(path, {"features": header(3).replace(b"\1\0", b"\2\0", 1) + bytes(40_800)})
    assert "is of another version of NumPy's format" in refused(path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    assert "it is not a file" in refused(tmp_path / "pipe.npz")
    assert "it is not a file" in refused(Path("/dev/zero"))


@pytest.mark.parametrize("value", [3e38, -3e38, 1001.0])
def test_features_that_the_front_end_never_gives_are_refused(
    value: float, path: Path, tmp_path: Path
) -> None:
    with np.load(path) as arrays:
        spoiled = dict(arrays)
    spoiled["features"][0, 3, 5] = value
    np.savez(path, **spoiled)
    with ExampleStore(tmp_path / "own.sqlite", limit_mb=10) as store:
        with pytest.raises(CorpusError, match=r"beyond ±1000, which paper34 never gives"):
            archive.import_(store, path)
        assert not list(store.kept())


def test_an_empty_file_comes_back(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "none.sqlite", limit_mb=10) as store:
        assert archive.export(store, tmp_path / "none.npz") == 0
        assert archive.import_(store, tmp_path / "none.npz") == 0

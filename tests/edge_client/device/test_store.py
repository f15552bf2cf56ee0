"""The store of examples: nothing the person said is lost."""

import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.device.damage import damage
from edge_client.device.sounds import SoundFolder
from edge_client.device.store import ExampleStore
from edge_client.device.training_set import ROOM, gather
from edge_client.device.training_set import keys as listed
from shared.errors import ChorusError, StorageError
from shared.features.normalisation import RunningStatistics
from shared.front_ends import FRONT_ENDS
from shared.task import DEFAULT_TASK, FrontEndShape, Task, labels_of
from tests.edge_client.device.heard import (
    NOON,
    add_labelled,
    frames,
    labelled,
    recognised,
    utterance,
)


def keys(store: ExampleStore, most: int = 2000, *, guesses: bool) -> list[int]:
    """Give the numbers of what is trained on, negative for guesses."""
    found = gather(store, None, guesses=guesses, most=most).keys
    assert found is not None
    return list(map(int, found))


def test_an_utterance_comes_back_as_it_was(store: ExampleStore) -> None:
    heard = recognised(0.125, 0.5, 0.25, 0.125)
    identifier = store.add(heard, frames(1, 37))
    assert identifier == 1
    (back,) = store.recent(5)
    assert (back.heard_at, back.seconds, back.probabilities) == (NOON, 3.1, heard.probabilities)
    assert back.label is None
    assert store.labelled(9) == []
    store.label(identifier, "sad")
    stored = labelled(store)
    assert stored.features.shape == (1, 100, 34)
    assert stored.features.dtype == np.float32
    assert np.array_equal(stored.features[0, :37], frames(1, 37))
    assert not stored.features[0, 37:].any()
    assert (stored.frames.tolist(), stored.labels.tolist()) == ([37], [3])
    assert stored.recognitions[0].identifier == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("label"), st.integers(1, 4), st.sampled_from(DEFAULT_TASK.names)),
        st.tuples(st.just("discard"), st.integers(1, 4)),
        st.tuples(st.just("undo")),
    ),
    max_size=10,
)


@settings(max_examples=20)
@given(steps=STEPS)
def test_undo_takes_back_step_by_step(
    steps: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("undo") / "examples.sqlite"
    with ExampleStore(path, limit_mb=10) as store:
        for seed in range(4):
            store.add(recognised(), frames(seed))
        now: dict[int, tuple[str | None, bool]] = dict.fromkeys(range(1, 5), (None, False))
        before: list[dict[int, tuple[str | None, bool]]] = []
        for name, *arguments in steps:
            if name == "undo":
                assert (store.undo() is None) == (not before)
                now = before.pop() if before else now
            else:
                last = dict(now)
                changed = getattr(store, name)(*arguments)
                now[changed.identifier] = (changed.label, changed.discarded)
                before += [last] if now != last else []
            found = {i: store.get(i) for i in now}
            assert {i: (known.label, known.discarded) for i, known in found.items()} == now


def test_unknown_numbers_are_said(store: ExampleStore) -> None:
    for action in (store.get, store.discard, lambda i: store.label(i, "sad")):
        with pytest.raises(ChorusError, match="There is no utterance 7"):
            action(7)
    assert store.undo() is None


def test_counts_tell_labels_from_the_rest(store: ExampleStore) -> None:
    for seed in range(5):
        store.add(recognised(), frames(seed))
    store.label(1, "sad")
    store.label(2, "sad")
    store.label(3, "happy")
    store.discard(3)
    counts = {"angry": 0, "happy": 0, "neutral": 0, "sad": 2, "unlabelled": 2, "discarded": 1}
    assert store.counts() == counts
    store.purge()
    assert store.counts()["discarded"] == 0
    with pytest.raises(ChorusError):
        store.get(3)


def test_the_oldest_unlabelled_make_way_and_the_labelled_never(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path, limit_mb=0.5) as store:
        for seed in range(60):
            identifier = store.add(recognised(), frames(seed, 100))
            if seed % 4 == 0:
                store.label(identifier, "sad")
        left = [known.identifier for known in store.recent(100)]
        kept = [known.identifier for known in store.recent(100) if known.label]
        unlabelled = sorted(set(left) - set(kept))
        assert kept == [*range(57, 0, -4)]
        assert unlabelled == [i for i in range(unlabelled[0], 61) if i % 4 != 1]
        assert unlabelled[0] > 1
        for known in store.recent(100):
            if not known.label:
                store.label(known.identifier, "happy")
        before = len(store.recent(100))
        with pytest.raises(StorageError, match="full of labelled utterances"):
            add_labelled(store, range(60, 70))
        assert len(store.recent(100)) >= before
    assert path.stat().st_size <= 500_000


def test_confident_utterances_are_guesses_not_labels(store: ExampleStore) -> None:
    store.add(recognised(0.01, 0.95, 0.02, 0.02), frames(1))
    store.add(recognised(), frames(2))
    assert store.sure(0.9, 9) == [1]
    assert len(gather(store, None, guesses=True)) == 0, "nobody has labelled anything"
    store.label(2, "sad")
    found = gather(store, None, guesses=True)
    assert found.keys is not None
    assert (found.keys.tolist(), found.labels.tolist()) == ([-1, 2], [1, 3])
    assert np.array_equal(found.features[0, :30], frames(1))
    assert store.get(1).label is None


def test_the_newest_are_trained_on_and_guesses_take_only_the_room_that_is_left(
    store: ExampleStore,
) -> None:
    add_labelled(store, range(5))
    for seed in range(5, 10):
        store.add(recognised(0.01, 0.95, 0.02, 0.02), frames(seed))
    assert keys(store, 3, guesses=True) == [3, 4, 5]
    assert keys(store, 7, guesses=True) == [-9, -10, 1, 2, 3, 4, 5]
    assert keys(store, 99, guesses=False) == [1, 2, 3, 4, 5]
    for identifier in range(2, 6):
        store.discard(identifier)
    assert keys(store, 99, guesses=True) == [-10, 1]


def test_examples_of_any_length_are_padded_to_the_longest_that_is_trained_on(
    tmp_path: Path,
) -> None:
    task = Task(
        labels_of(("calm", "sad", "happy")), FrontEndShape("any", 1, 1000, 34, variable=True)
    )
    with ExampleStore(tmp_path / "any.sqlite", limit_mb=10, task=task) as store:
        for seed, count in enumerate((500, 7, 60)):
            store.add(recognised(0.25, 0.25, 0.5, task=task), frames(seed, count))
        assert gather(store, None).features.shape == (0, 50, 34)
        store.label(2, "happy")
        store.label(3, "calm")
        found = gather(store, None)
    assert found.features.shape == (2, 100, 34)
    assert (found.frames.tolist(), found.labels.tolist()) == ([7, 60], [2, 0])
    assert np.array_equal(found.features[1, :60], frames(2, 60))
    assert not found.features[0, 7:].any()


def test_the_newest_are_trained_on_that_there_is_memory_for(tmp_path: Path) -> None:
    shape = FrontEndShape("wide", 1, 1000, ROOM // 200, variable=True)
    task = Task(DEFAULT_TASK.labels, shape)
    with ExampleStore(tmp_path / "wide.sqlite", limit_mb=50, task=task) as store:
        for _ in range(6):
            store.add(
                recognised(0.01, 0.95, 0.02, 0.02, task=task), np.ones((1, ROOM // 200), np.float32)
            )
        for identifier in (1, 2, 3):
            store.label(identifier, "sad")
        # Of 50 frames each, four fit.
        assert keys(store, guesses=True) == [-6, 1, 2, 3]
        assert len(listed(store, guesses=True)) == 4
        store.add(recognised(task=task), np.ones((51, ROOM // 200), np.float32))
        store.label(7, "happy")
        assert keys(store, guesses=True) == [3, 7]
        assert len(listed(store, guesses=True)) == 2


def test_examples_are_read_into_their_final_place(store: ExampleStore) -> None:
    add_labelled(store, range(150))
    statistics = RunningStatistics(FRONT_ENDS.get("paper34"))
    statistics.update(frames(0, 100))
    tracemalloc.start()
    found = gather(store, statistics)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 150
    assert peak < 1.3 * found.features.nbytes


def test_a_change_by_another_process_is_seen_once(store: ExampleStore) -> None:
    store.add(recognised(), frames(0))
    assert not store.changed_elsewhere()
    with ExampleStore(store.path, limit_mb=10) as other:
        other.add(recognised(), frames(1))
    assert store.changed_elsewhere()
    assert not store.changed_elsewhere()


KILLED = """
import sys
from pathlib import Path
from edge_client.device.store import ExampleStore
from tests.edge_client.device.heard import frames, recognised
store = ExampleStore(Path(sys.argv[1]), limit_mb=10)
while True:
    seed = store.counts()["unlabelled"] + store.counts()["happy"]
    identifier = store.add(recognised(), frames(seed, 100))
    print("added", identifier, flush=True)
    if identifier % 2:
        store.label(identifier, "happy")
        print("labelled", identifier, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 7, 41])
def test_a_killed_process_loses_nothing_it_had_said(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "examples.sqlite"
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        # What was killed while it was said, was not said.
        *whole, _ = process.stdout.read().split("\n")
        said += [line.split() for line in whole]
    added = {int(line[1]) for line in said if line[0] == "added"}
    said_labelled = {int(line[1]) for line in said if line[0] == "labelled"}
    assert not damage(path)
    with ExampleStore(path, limit_mb=10) as store:
        stored = store.everything()
        assert added <= set(store.kept())
        assert said_labelled <= set(store.labelled(1000))
        for identifier, features in zip(store.kept(), stored.features, strict=True):
            assert np.array_equal(features, frames(identifier - 1, 100))


def test_another_process_reads_while_one_writes(store: ExampleStore) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from edge_client.device.store import ExampleStore\n"
        "with ExampleStore(Path(sys.argv[1]), limit_mb=10) as store:\n"
        "    while True:\n"
        "        n = len(store.everything().frames)\n"
        "        assert n == sum(store.counts().values()) or n < sum(store.counts().values())\n"
        "        print(n, flush=True)\n"
        "        if n == 60: break\n"
    )
    command = [sys.executable, "-c", code, str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        for seed in range(60):
            store.label(store.add(recognised(), frames(seed, 100)), "sad")
        seen = [int(line) for line in process.stdout]
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert seen[-1] == 60


def test_threads_take_turns(store: ExampleStore) -> None:
    def work(seed: int) -> None:
        for i in range(10):
            identifier = store.add(recognised(), frames(100 * seed + i))
            store.label(identifier, DEFAULT_TASK.names[seed])
            labelled(store)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    counts = store.counts()
    assert [counts[emotion] for emotion in DEFAULT_TASK.names] == [10] * 4


def test_deleting_overwrites_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    sounds = SoundFolder(tmp_path / "sounds", limit_mb=5)
    sound = utterance(1).samples
    with ExampleStore(path, limit_mb=10, sounds=sounds) as store:
        for seed in range(20):
            number = store.add(recognised(), frames(seed, 100), statistics={"n": 1})
            store.keep_sound(number, sound)
        assert len(list((tmp_path / "sounds").iterdir())) == 20
        store.delete_all()
        assert sum(store.counts().values()) == 0
        assert store.statistics() is None
        for file in (file for file in tmp_path.rglob("*") if file.is_file()):
            content = file.read_bytes()
            for seed in range(20):
                assert frames(seed, 100).tobytes()[64:96] not in content
        assert not (tmp_path / "sounds").exists()
        assert store.add(recognised(), frames(0)) > 20, "a number never means another utterance"


def test_sound_is_bounded_and_goes_with_what_is_discarded(tmp_path: Path) -> None:
    sounds = SoundFolder(tmp_path / "sounds", limit_mb=0.2)
    sound = utterance(1).samples
    with ExampleStore(tmp_path / "examples.sqlite", limit_mb=10, sounds=sounds) as store:
        for seed in range(6):
            store.keep_sound(store.add(recognised(), frames(seed)), sound)
        kept = sorted(int(file.stem) for file in (tmp_path / "sounds").iterdir())
        assert kept == [*range(kept[0], 7)]
        assert 1 < kept[0] < 6
        assert sum(file.stat().st_size for file in (tmp_path / "sounds").iterdir()) <= 200_000
        store.discard(6)
        assert not (tmp_path / "sounds" / "6.flac").exists()


def test_what_else_lies_among_the_sounds_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = utterance(1).samples
    SoundFolder(tmp_path, limit_mb=5).keep(10, sound)
    size = (tmp_path / "10.flac").stat().st_size
    for name in (".9-abcd_f12.flac", "letter.flac", "9.flac"):
        (tmp_path / name).write_bytes(bytes(size))
    sounds = SoundFolder(tmp_path, limit_mb=2.5 * size / 1e6)

    def look(*_: object) -> None:
        raise AssertionError("it looks through the whole folder while somebody is heard")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", look)
        sounds.keep(11, sound)
    assert {file.name for file in tmp_path.iterdir()} == {"letter.flac", "10.flac", "11.flac"}
    sounds.forget(10)
    sounds.keep(12, sound)
    assert {file.name for file in tmp_path.iterdir()} == {"letter.flac", "11.flac", "12.flac"}

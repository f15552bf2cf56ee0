"""What a damaged store still holds is taken over whole, once, and with its numbers."""

import os
import shutil
import signal
import sqlite3
import sys
from bisect import bisect_left
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from edge_client.device import damage as damage_module
from edge_client.device.beginning import earlier_task
from edge_client.device.damage import damage, in_the_making
from edge_client.device.device import Device
from edge_client.device.opening import open_store
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DAMAGED, SALVAGED, DeviceFolder
from edge_client.device.store import ExampleStore
from edge_client.federation.client_state import ClientState
from shared.errors import StorageError
from shared.protocol.messages import Offer
from shared.task import DEFAULT_TASK, Task, labels_of
from tests.disk import mounted
from tests.edge_client.device.heard import NOON, Open, frames, hear, recognised
from tests.killing import killed

RUN = "0" * 32


def spoil(path: Path, piece: bytes) -> None:
    """Spoil the page of the store's file that begins with what holds the piece."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    page = data.index(piece) // 4096 * 4096
    data[page : page + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    assert damage(path)


@dataclass
class Used:
    """A state folder whose store is damaged, and what should be found in it."""

    state: DeviceFolder
    task: Task
    labels: dict[int, str | None]

    def settings(self, **given: Any) -> DeviceSettings:
        names = self.task.names
        return DeviceSettings(state=self.state.path, labels=names, front_end="paper34", **given)

    def open(self) -> None:
        store, _ = open_store(self.state, self.settings(), NOON)
        store.close()

    def check(self, *, said: bool = True, **given: Any) -> None:
        """Start the device: all is there, by its number, and the damaged file is aside, once."""
        with Device(self.settings(**given), clock=lambda: NOON + timedelta(days=1)) as device:
            found = {one.identifier: one.label for one in device.recent(100)}
            assert found == self.labels
            assert not said or "was damaged" in (device.problem or "")
        names = self.names()
        assert len([name for name in names if name.endswith(".sqlite")]) == 2, names
        assert not in_the_making(self.state.examples)

    def names(self) -> list[str]:
        return [file.name for file in self.state.path.glob("examples*")]


@pytest.fixture
def used(tmp_path: Path) -> Used:
    """Let a store hold 1 to 9, of which 3 was lost to damage; 10 and 11 have gone before."""
    task = Task(labels_of(("laughing", "crying")), DEFAULT_TASK.front_end)
    state = DeviceFolder(tmp_path / "state")
    state.make()
    with ExampleStore(state.examples, limit_mb=10, task=task) as store:
        store.remember_task()
        for seed in range(1, 12):
            number = store.add(recognised(0.4, 0.6, task=task), frames(seed, 80))
            if number % 2:
                store.label(number, "crying")
        for number in (10, 11):
            store.discard(number)
        store.purge()
    spoil(state.examples, frames(3, 80).tobytes()[4000:4040])
    labels = {number: "crying" if number % 2 else None for number in range(1, 10)}
    del labels[3]
    return Used(state, task, labels)


def test_utterances_keep_their_numbers_and_no_number_is_given_again(used: Used) -> None:
    used.check()
    with Device(used.settings()) as device:
        assert hear(device).identifier == 12


def test_what_the_store_was_used_for_is_known_after_the_next_start(used: Used) -> None:
    used.check()
    assert earlier_task(used.state) == used.task


def test_sound_goes_with_the_utterance_it_is_of(start: Open, tmp_path: Path) -> None:
    device = start(keep_audio=True)
    for seed in range(12):
        hear(device, seed)
    device.discard(1)
    device.discard(4)
    device.close()
    state = DeviceFolder(tmp_path / "state")
    with ExampleStore(state.examples, limit_mb=10) as store:
        ((_, own),) = store.read([7])
        left = [number for number in store.kept() if number != 7]
    spoil(state.examples, own.tobytes()[800:840])
    again = start(keep_audio=True)
    found = [one.identifier for one in again.recent(20)][::-1]
    assert set(found) <= set(left)
    assert len(found) > 3
    again.discard(found[1])
    assert f"{found[1]}.flac" not in {file.name for file in state.sounds.iterdir()}
    assert f"{found[2]}.flac" in {file.name for file in state.sounds.iterdir()}
    assert hear(again, 20).identifier == 13


def test_a_new_store_that_is_too_small_is_tried_again_with_a_larger_one(used: Used) -> None:
    for _ in range(2):
        with pytest.raises(StorageError, match="full of labelled utterances"):
            Device(used.settings(store_mb=0.08))
        assert not in_the_making(used.state.examples)
    used.check()


def test_a_full_disk_is_waited_for(used: Used, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        state = DeviceFolder(disk / "state")
        shutil.copytree(used.state.path, state.path)
        filler = disk / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(disk).free - 60_000))
        small = Used(state, used.task, used.labels)
        for _ in range(2):
            with pytest.raises(StorageError) as caught:
                Device(small.settings())
            assert caught.value.full
            assert not in_the_making(state.examples), "it takes no room"
        filler.unlink()
        small.check()


def copied(used: Used, place: Path) -> Used:
    shutil.copytree(used.state.path, place)
    return replace(used, state=DeviceFolder(place))


def killed_at_line(line: int, work: Callable[[], object]) -> bool:
    """Do something in a process that is killed before it first passes that many lines."""
    files = {damage_module.__file__, sys.modules[ExampleStore.__module__].__file__}
    passed = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            passed.add((frame.f_code.co_filename, frame.f_lineno))
            if len(passed) == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def traced() -> None:
        sys.settrace(trace)
        work()

    return killed(traced)


def test_a_kill_at_any_moment_loses_nothing(used: Used, tmp_path: Path) -> None:
    line = 0
    stages = []
    while True:
        line += 1
        copy = copied(used, tmp_path / f"state-{line}")
        if not killed_at_line(line, copy.open):
            break
        path = copy.state.examples
        in_place = path.exists() and not damage(path)
        stages.append("new" if in_place else "damaged" if path.exists() else "between")
        assert earlier_task(copy.state) == used.task
        copy.check(said=not in_place)
        shutil.rmtree(copy.state.path)
    assert len(stages) > 60
    assert set(stages) == {"damaged", "between", "new"}


def test_a_store_that_another_program_made_meanwhile_takes_nobody_s_place(
    used: Used, tmp_path: Path
) -> None:
    def damaged_is_aside(line: int) -> bool:
        other = copied(used, tmp_path / f"looked-{line}")
        killed_at_line(line, other.open)
        return not other.state.examples.exists() or not damage(other.state.examples)

    line = bisect_left(range(200), True, 1, key=damaged_is_aside)  # the first such
    used = copied(used, tmp_path / "between")
    assert killed_at_line(line, used.open)
    assert not used.state.examples.exists()
    with ExampleStore(used.state.examples, limit_mb=10) as store:
        store.add(recognised(), frames(99))
    with Device(used.settings()) as device:
        assert {one.identifier: one.label for one in device.recent(100)} == used.labels
    first, second = sorted(used.state.path.glob("examples-damaged-*.sqlite"))
    with ExampleStore(second, limit_mb=10) as store:
        assert len(store.kept()) == 1
    with ExampleStore(first, limit_mb=10) as store:
        assert 3 not in [known.identifier for known, _ in store.read([1, 2, 4, 5])]


def test_what_was_made_of_a_damaged_store_is_deleted_with_everything(
    used: Used, tmp_path: Path
) -> None:
    line, names = 0, set()
    while True:
        line += 3
        copy = copied(used, tmp_path / f"state-{line}")
        if not killed_at_line(line, copy.open):
            break
        names |= set(copy.names())
        copy.state.delete_everything()
        assert copy.names() == []
    assert {f"examples-{what}-20260102T120000.sqlite" for what in (SALVAGED, DAMAGED)} <= names


def lose(state: DeviceFolder) -> None:
    state.examples.unlink()


def bring_back_a_copy(state: DeviceFolder) -> None:
    with closing(sqlite3.connect(state.examples)) as connection, connection:
        connection.execute("DELETE FROM examples WHERE id > 1")
        connection.execute("UPDATE sqlite_sequence SET seq = 1")


@pytest.mark.parametrize("become", [lose, bring_back_a_copy])
def test_a_number_is_not_given_again_as_long_as_anything_goes_by_it(
    start: Open, tmp_path: Path, become: Callable[[DeviceFolder], None]
) -> None:
    device = start(keep_audio=True)
    for seed in range(3):
        hear(device, seed)
    device.close()
    state = DeviceFolder(tmp_path / "state")
    become(state)
    again = start(keep_audio=True)
    assert hear(again, 3).identifier == 4
    sounds = {file.name for file in state.sounds.iterdir()}
    assert sounds == {f"{number}.flac" for number in range(1, 5)}
    again.close()
    taken_in(state.federations / "chorus", [2, 3, -9])
    taken_in(state.federations / "other", [5, 6], accepted=False)
    become(state)
    device = start()
    assert hear(device, 4).identifier == 10


def taken_in(folder: Path, learned: list[int], *, accepted: bool = True) -> None:
    """Let a federation's part remember what it has learned."""
    part = ClientState(folder)
    part.enter(RUN)
    digest, size = part.write_update(lambda path: path.write_bytes(bytes(4)))
    offer = Offer(
        update=digest,
        size=size,
        run=RUN,
        round=1,
        model="1" * 64,
        task=DEFAULT_TASK.digest,
        codec="float32",
        examples=8,
    )
    part.finish(offer, residual=None, control=None, learned=learned)
    if accepted:
        part.decide()


@pytest.mark.parametrize("spoilt", [b"", b"{", b"[" * 100_000, b'{"learned": ["a", 1e400, null]}'])
def test_what_a_federation_remembers_may_be_damaged(
    start: Open, tmp_path: Path, spoilt: bytes
) -> None:
    part = tmp_path / "state" / "personal" / "federations" / "chorus"
    part.mkdir(parents=True)
    (part / "federation.json").write_bytes(spoilt)
    assert hear(start()).identifier == 1

"""What is deleted or discarded on a device is gone."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.device import personalising
from edge_client.device.device import DeviceEvent
from edge_client.device.latest import SOUNDS
from edge_client.device.personalising import Learning
from edge_client.device.state import DeviceFolder
from edge_client.learning.personal_model import PersonalModel
from shared.errors import RunError, StorageError
from shared.training import Examples
from shared.weights import (
    Weights,
)
from tests.brokers import BOUND
from tests.edge_client.device.heard import Open, expected, hear, utterance


def test_what_was_discarded_is_gone_at_the_end(start: Open) -> None:
    device = start()
    hear(device)
    device.discard(1)
    device.close()
    assert sum(start().counts().values()) == 0


def test_only_the_last_sounds_stay_in_memory(start: Open) -> None:
    device = start()
    for seed in range(SOUNDS + 3):
        hear(device, seed, 0.5)
    assert device.sound(3) is None
    sound = device.sound(4)
    assert sound is not None
    assert np.array_equal(sound, utterance(3, 0.5).samples)


def test_deleting_everything_begins_anew(start: Open, weights: Weights, tmp_path: Path) -> None:
    device = start(keep_audio=True)
    hear(device, 1)
    (tmp_path / "state" / "personal" / "token").write_bytes(b"personal")
    device.delete_everything()
    assert sum(device.counts().values()) == 0
    assert device.sound(1) is None
    left = {file.name for file in (tmp_path / "state").rglob("*") if file.is_file()}
    assert {name.split("-")[0] for name in left} == {"lock", "examples.sqlite", "model.safetensors"}
    personal = tmp_path / "state" / "personal"
    assert list(personal.iterdir()) == []
    assert personal.stat().st_mode & 0o777 == 0o700
    assert hear(device, 2).probabilities == expected(weights, [2])


def test_what_was_made_of_clips_goes_too_unless_it_is_in_use(start: Open, tmp_path: Path) -> None:
    device = start()
    hear(device, 1)
    idle, running = (
        DeviceFolder(tmp_path / "state" / "clips" / name) for name in ("idle", "running")
    )
    for made in (idle, running):
        with made.taken():
            (made.federations / "home").mkdir(parents=True)
            (made.federations / "home" / "x.update").write_text("an update")
    with running.taken(), pytest.raises(RunError, match=r"is running with .*running"):
        device.delete_everything()
    assert not idle.path.exists()
    assert running.federations.exists()
    assert sum(device.counts().values()) == 0
    device.delete_everything()
    assert not running.path.exists()


def test_deleting_is_one_operation_that_others_can_follow(start: Open, tmp_path: Path) -> None:
    device = start()
    hear(device)
    token = tmp_path / "state" / "personal" / "token"
    token.touch()
    told: list[tuple[str, bool, int]] = []

    def note(event: DeviceEvent) -> None:
        # In a thread of its own: this would wait for ever if the device held its lock.
        looking = threading.Thread(target=device.status, daemon=True)
        looking.start()
        looking.join(BOUND)
        assert not looking.is_alive()
        told.append((event.kind, token.exists(), len(device.recent())))

    device.subscribe(note)
    device.delete_everything()
    gone = (False, 0)
    assert told == [("deleting", True, 1), ("deleted", *gone), ("status", *gone)]


def test_what_cannot_be_deleted_keeps_nothing_else(
    start: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = start()
    kinds: list[str] = []
    device.subscribe(lambda event: kinds.append(event.kind))

    def fail() -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(device._store, "delete_all", fail)
    with pytest.raises(StorageError, match="disk is full"):
        device.delete_everything()
    assert list((tmp_path / "state" / "personal").iterdir()) == []
    assert kinds == ["deleting", "deleted", "status"]


def test_a_fit_under_way_is_not_used_after_a_deletion(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting, deleted = threading.Event(), threading.Event()
    fitted: list[PersonalModel] = []

    class Slow:
        @staticmethod
        def fit(examples: Examples, *given: Any) -> PersonalModel:
            fitting.set()
            assert deleted.wait(BOUND)
            fitted.append(PersonalModel.fit(examples, *given))
            return fitted[-1]

    monkeypatch.setattr(personalising, "PersonalModel", Slow)
    device = start()
    device.correct(hear(device).identifier, "sad")
    learner = Learning(device)
    assert fitting.wait(BOUND)
    device.delete_everything()
    deleted.set()
    learner.close()
    assert fitted
    assert not device.status()["model"]["personal"]
    assert device.status()["training"] is None


def test_sound_of_an_earlier_run_goes_with_what_is_discarded_now(
    start: Open, tmp_path: Path
) -> None:
    device = start(keep_audio=True)
    hear(device)
    device.close()
    again = start()
    hear(again, 2)
    sounds = tmp_path / "state" / "personal" / "sounds"
    assert [file.name for file in sounds.iterdir()] == ["1.flac"]
    again.discard(1)
    assert list(sounds.iterdir()) == []


@pytest.mark.parametrize("spoilt", ["statistics", "store"])
def test_after_a_deletion_nothing_is_said_of_what_was_damaged(
    start: Open, tmp_path: Path, spoilt: str
) -> None:
    device = start()
    hear(device)
    device.close()
    path = tmp_path / "state" / "examples.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        if spoilt == "statistics":
            connection.execute("UPDATE facts SET value = '{' WHERE name LIKE 'statistics%'")
        else:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'examples_same'")
    again = start()
    assert "damaged" in (again.problem or "")
    again.delete_everything()
    assert again.problem is None

"""Imported examples teach labels; of voice and room a device knows by what it has heard."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge_client.device import archive
from edge_client.device.damage import damage
from edge_client.device.device import Device
from edge_client.device.store import ExampleStore
from shared.features.normalisation import RunningStatistics
from shared.front_ends import FRONT_ENDS
from shared.front_ends.paper34 import frame_features
from tests.edge_client.device.heard import Open, add_labelled, hear, utterance


def before(start: Open, import_: Callable[[], int], _: Path) -> Device:
    import_()
    device = start()
    hear(device, 0)
    hear(device, 1)
    return device


def between(start: Open, import_: Callable[[], int], _: Path) -> Device:
    device = start()
    hear(device, 0)
    import_()
    hear(device, 1)
    return device


def and_made_anew(start: Open, import_: Callable[[], int], state: Path) -> Device:
    device = between(start, import_, state)
    device.close()
    with closing(sqlite3.connect(state / "examples.sqlite")) as connection, connection:
        connection.execute("UPDATE facts SET value = '{' WHERE name LIKE 'statistics%'")
    return start()


def and_from_a_damaged_store(start: Open, import_: Callable[[], int], state: Path) -> Device:
    device = between(start, import_, state)
    device.close()
    with closing(sqlite3.connect(state / "examples.sqlite")) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'examples_same'")
    assert damage(state / "examples.sqlite")
    return start()


@pytest.mark.parametrize("heard", [before, between, and_made_anew, and_from_a_damaged_store])
def test_what_is_imported_is_in_no_statistics_whatever_the_order(
    start: Open,
    tmp_path: Path,
    store: ExampleStore,
    heard: Callable[[Open, Callable[[], int], Path], Device],
) -> None:
    """They may be another person's voice."""
    add_labelled(store, range(5))
    archive.export(store, tmp_path / "theirs.npz")
    state = tmp_path / "state"

    def import_() -> int:
        with ExampleStore(state / "examples.sqlite", limit_mb=10) as own:
            return archive.import_(own, tmp_path / "theirs.npz")

    device = heard(start, import_, state)
    assert device.counts()["sad"] == 5
    statistics = RunningStatistics(FRONT_ENDS.get("paper34"))
    for seed in range(2):
        statistics.update(frame_features(utterance(seed).samples))
    assert device.recognising.statistics() == statistics.to_dict()


def test_what_was_discarded_is_taken_up_again_with_the_label_of_the_file(
    start: Open, tmp_path: Path
) -> None:
    device = start()
    for seed, label in enumerate(("happy", "sad")):
        device.correct(hear(device, seed).identifier, label)
    file = tmp_path / "mine.npz"
    archive.export(device._store, file)
    device.correct(1, "angry")
    device.discard(1)
    with ExampleStore(device._store.path, limit_mb=10) as beside:
        assert archive.import_(beside, file) == 1
        assert archive.import_(beside, file) == 0
    device.look()
    assert [(one.identifier, one.label) for one in device.recent()] == [(2, "sad"), (1, "happy")]
    device.close()
    counts = start().counts()
    assert (counts["happy"], counts["sad"], counts["discarded"]) == (1, 1, 0)

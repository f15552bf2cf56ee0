"""What a device does first with its store: find damage, and take over what can be read."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from edge_client.device.damage import is_new, replace_damaged
from edge_client.device.numbers import largest_given
from edge_client.device.recognising import Recognising
from edge_client.device.settings import DeviceSettings
from edge_client.device.sounds import SoundFolder
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from shared.errors import StorageError
from shared.features.statistics import (
    Start,
    Statistics,
    is_of_another,
    no_statistics,
    restored,
)
from shared.front_ends import front_end_of


def open_store(
    state: DeviceFolder, settings: DeviceSettings, now: datetime
) -> tuple[ExampleStore, str | None]:
    """Open the store; set a damaged file aside, and take over what can still be read of it.

    The state folder must be taken (:meth:`DeviceFolder.taken`).

    Returns
    -------
    ExampleStore
        Without what was discarded in an earlier run.
    str or None
        If the file was damaged, or has gone: what has become of it.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    # Also without --keep-audio: sound of earlier runs goes with what is discarded now.
    sounds = SoundFolder(state.sounds, limit_mb=settings.audio_mb)

    def make(path: Path) -> ExampleStore:
        return ExampleStore(path, limit_mb=settings.store_mb, task=settings.task, sounds=sounds)

    damaged = replace_damaged(state.examples, now, make)
    lost = is_new(state.examples) and state.keeps_anything
    store = make(state.examples)
    try:
        store.number_past(largest_given(state))
    except BaseException:
        store.close()
        raise
    with suppress(StorageError):  # a full disk need not keep the device from recognising
        store.purge()
        store.remember_task()
    if damaged is not None:
        return store, _salvaged(store, *damaged)
    return store, _lost(state) if lost else None


def _salvaged(store: ExampleStore, aside: Path, found: str) -> str:
    taken = sum(store.counts().values()) + sum(store.counts_elsewhere().values())
    return (
        f"The store of examples was damaged{found}: it is kept as {aside}, and {taken} utterances "
        "that could still be read were taken over."
    )


def _lost(state: DeviceFolder) -> str:
    return (
        f"The store of examples {state.examples} is gone or was emptied, though {state.personal} "
        "holds what was made of it: it begins anew. If there is a copy, end this device and bring "
        "it back."
    )


def read_statistics(store: ExampleStore, begun: Start | None) -> tuple[Statistics, str | None]:
    """Restore the statistics; from what was heard and is kept, if they are missing or of others.

    Parameters
    ----------
    store
        Of the device.
    begun
        What statistics begin with.

    Returns
    -------
    Statistics
        What the device goes on with.
    str or None
        If they were damaged: what has become of them.
    """
    front_end = front_end_of(store.task.front_end)
    kept = store.statistics()
    if kept is None:
        return _of_heard(store, begun), None
    try:
        return restored(kept, front_end, begun), None
    except ValueError:
        anew = _of_heard(store, begun)
    if kept and is_of_another(kept, begun):
        return anew, None
    heard = len(store.kept(imports=False))
    return anew, (
        "What the device had worked out of the voice and the room was damaged: it is worked out "
        f"anew from the {heard} utterances that are kept of what it has heard."
    )


def begin_again(store: ExampleStore, recognising: Recognising) -> None:
    """Make the statistics again of what was heard, as they begin otherwise now; keep them.

    Raises
    ------
    StorageError
        If the disk is full.
    """
    recognising.begin(_of_heard(store, recognising.begun))
    store.keep_statistics(recognising.statistics())


def _of_heard(store: ExampleStore, begun: Start | None) -> Statistics:
    # What was imported may be another person's voice, in another room.
    statistics = no_statistics(front_end_of(store.task.front_end), begun)
    for _, frames in store.read(store.kept(imports=False)):
        statistics.update(frames)
    return statistics


def not_learned_from(store: ExampleStore) -> str | None:
    """Say in a sentence which examples another task has left; ``None`` if there are none."""
    own = {*store.task.names, "unlabelled", "discarded"}
    left = [f"{count} labelled {name}" for name, count in store.counts().items() if name not in own]
    left += [f"{count} of {front_end}" for front_end, count in store.counts_elsewhere().items()]
    if not left:
        return None
    return (
        f"The store holds examples of another task, kept but not learned from: {', '.join(left)}."
    )

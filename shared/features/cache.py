"""Features of many clips: on all cores, and only once for the same sound."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from shared.command import progress_console
from shared.command.progress import tracker
from shared.corpora.corpus import Clip
from shared.errors import AudioError, CorpusError
from shared.features.store import FeatureStore
from shared.frames import Frames, stack
from shared.front_ends import FrontEnd
from shared.task import Task

if TYPE_CHECKING:
    from rich.console import Console

POOL_FROM: Final = 200
"""Clips from which on starting processes takes less time than they save."""

TOGETHER: Final = 32
"""Clips computed and kept together: what a process that is killed may lose."""

Outcome = Frames | str
"""Features of a clip's true frames, shape ``(n, features)``; or why there are none."""


@dataclass(frozen=True, slots=True)
class SkippedClip:
    """A clip that cannot be used.

    Attributes
    ----------
    clip
        Which.
    reason
        Why, in one sentence.
    """

    clip: Clip
    reason: str


@dataclass(frozen=True, slots=True)
class ClipFeatures:
    """Features of clips, not normalised.

    Attributes
    ----------
    clips
        Those that can be used, in the order they were given.
    features
        Shape ``(n, L, features)``, float32, as :func:`shared.frames.stack` gives them; frames
        after a clip's end are zero.
    frames
        Shape ``(n,)``, int32: the true number of frames of each, at least 1.
    skipped
        Those that cannot be used.
    """

    clips: tuple[Clip, ...]
    features: NDArray[np.float32]
    frames: NDArray[np.int32]
    skipped: tuple[SkippedClip, ...]

    def labels(self, task: Task) -> NDArray[np.int32]:
        """Give each clip's place among a task's labels, shape ``(n,)``; -1 for another label."""
        return np.array([task.index.get(clip.label or "", -1) for clip in self.clips], np.int32)


def extract_features(
    clips: Iterable[Clip],
    front_end: FrontEnd,
    cache_dir: Path | None = None,
    workers: int | None = None,
    *,
    progress: bool = True,
) -> ClipFeatures:
    """Compute the features of clips, or take them from the cache.

    Clips that are damaged, empty or too short are left out, with the reason.

    Parameters
    ----------
    clips
        Of one or several corpora.
    front_end
        What computes them.
    cache_dir
        Folder of the cache; :func:`shared.features.store.cache_folder` if not given.
    workers
        Processes to compute with; one for each core if not given. Few clips are computed in this
        process, and all where the front end, or a sound, cannot be given to others.
    progress
        Whether to show how far it is, on standard error.

    Raises
    ------
    CorpusError
        If no clip can be used.
    SettingsError
        If the front end gives features of another shape than it says.
    """
    clips = tuple(clips)
    with FeatureStore(cache_dir) as store, tracker(shown=progress) as bar:
        keys = [_key(clip, front_end) for clip in bar.track(clips, description="looking up clips")]
        # The same sound may be there several times: it is computed once.
        wanted = {
            key: clip for key, clip in zip(keys, clips, strict=True) if not isinstance(key, str)
        }
        outcomes: dict[bytes, Outcome] = {**store.find(list(wanted), front_end.shape.features)}
        missing = {key: clip for key, clip in wanted.items() if key not in outcomes}
        computed = _compute(
            list(missing.values()), front_end, workers or len(os.sched_getaffinity(0))
        )
        fresh: dict[bytes, Frames] = {}
        for key, outcome in zip(
            missing,
            bar.track(computed, len(missing), description="computing features"),
            strict=True,
        ):
            outcomes[key] = outcome
            if not isinstance(outcome, str):
                fresh[key] = outcome
            if len(fresh) == TOGETHER:
                store.add(fresh)
                fresh.clear()
        store.add(fresh)
    return _gathered(
        clips, front_end, [key if isinstance(key, str) else outcomes[key] for key in keys]
    )


def tell_skipped(skipped: Sequence[SkippedClip], console: "Console | None" = None) -> None:
    """Name and count the clips that could not be used; on standard error, if nowhere else."""
    console = console or progress_console()
    for each in skipped:
        text = f"skipped {each.clip.identifier}: {each.reason}"
        console.print(text, soft_wrap=True)
    if skipped:
        console.print(f"{len(skipped)} clips were skipped.")


def _key(clip: Clip, front_end: FrontEnd) -> bytes | str:
    """Name a clip's features, or say why there can be none.

    All of the shape is in the name: one who changes a front end may forget to raise its version.
    """
    try:
        content = clip.content_key()
    except OSError as error:
        return f"{clip.identifier} cannot be read: {error.strerror}."
    shape = front_end.shape
    return hashlib.sha256(f"{shape!r}{shape.weights} {content}".encode()).digest()


def _compute(clips: Sequence[Clip], front_end: FrontEnd, workers: int) -> Iterator[Outcome]:
    """Compute features in the order of the clips."""
    done = 0
    outcome_of = partial(_outcome, front_end)
    if workers > 1 and len(clips) >= POOL_FROM and _travel(front_end, clips):
        # Spawned, not forked: a fork would copy TensorFlow's threads in the middle of their work.
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_begin_worker
        )
        try:
            for outcome in pool.map(outcome_of, clips, chunksize=TOGETHER // 2):
                done += 1
                yield outcome
        except BrokenProcessPool:
            progress_console().print("A process that computes features has died; going on alone.")
        finally:
            pool.shutdown(cancel_futures=True)
    yield from map(outcome_of, clips[done:])


def _travel(front_end: FrontEnd, clips: Iterable[Clip]) -> bool:
    """Say whether other processes can be given these: no lambda, and nothing that has a lock.

    Front ends and sounds may be of somebody's own, and hold anything.
    """
    try:
        for one in (front_end, *clips):
            ForkingPickler.dumps(one)
    except Exception:  # noqa: BLE001 -- whatever it is that theirs raise: this process has them
        return False
    return True


def _outcome(front_end: FrontEnd, clip: Clip) -> Outcome:
    try:
        return front_end.compute(clip.read())
    except AudioError as error:
        return error.problem
    except OSError as error:
        return f"{clip.identifier} cannot be read: {error.strerror}."


def _begin_worker() -> None:
    """Leave Ctrl-C to the main process, and end when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _gathered(
    clips: Sequence[Clip], front_end: FrontEnd, outcomes: Sequence[Outcome]
) -> ClipFeatures:
    used = [
        (clip, outcome)
        for clip, outcome in zip(clips, outcomes, strict=True)
        if not isinstance(outcome, str)
    ]
    skipped = tuple(
        SkippedClip(clip, outcome)
        for clip, outcome in zip(clips, outcomes, strict=True)
        if isinstance(outcome, str)
    )
    if not used:
        first = f" The first: {skipped[0].reason}" if skipped else ""
        raise CorpusError(f"None of {len(clips)} clips can be used.{first}")
    return ClipFeatures(
        clips=tuple(clip for clip, _ in used),
        features=stack([frames for _, frames in used], front_end.shape),
        frames=np.array([len(frames) for _, frames in used], np.int32),
        skipped=skipped,
    )

"""What a personal model brings: users the global model never heard correct it, clip by clip."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.personal_model import PersonalModel
from edge_client.learning.training import Engine, Trained, train
from edge_client.simulation.data import split
from edge_client.simulation.engines import Engines
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.experiments import BASELINE, Cell, Collect, experiment_one
from edge_client.simulation.studies.personalisation_pictures import Curve, draw_curves
from edge_client.simulation.study import execute
from edge_client.simulation.utterances import Utterances, load_utterances
from shared.errors import SettingsError
from shared.features.doubt import doubts
from shared.features.labelled_clips import together
from shared.features.statistics import Start, Statistics, knowing, no_statistics, remembering
from shared.front_ends import FrontEnd, front_end_of
from shared.metrics import Scores, confusion, predicted
from shared.model_notes.calibration import UNMEASURED, Calibration
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from shared.weights import Weights, load_weights

if TYPE_CHECKING:
    from rich.console import Console

CORRECTIONS: Final = (0, 4, 8, 12, 16)
"""After how many corrected clips the clips still to come are scored."""

GLOBAL, PERSONAL, TUNED = METHODS = ("global model", "personal model", "everything fine-tuned")
"""What is compared; the last is what one would try first."""

FINE_TUNING: Final = TrainingSettings(
    learning_rate=3e-4, batch_size=16, epochs=20, augmentation=True
)
"""Fine-tuning of all weights: the better of two learning rates on actors 1 to 12 of RAVDESS."""

Counts = NDArray[np.int64]
"""Confusion counts, shape ``(users, orders, len(CORRECTIONS), labels, labels)``."""


@dataclass(frozen=True)
class Heard:
    """The clips of one user in the order in which a device hears them.

    Attributes
    ----------
    fresh
        Each clip as the global model recognises it: normalised by the statistics of all clips up to
        it.
    remembered
        For each number of corrections, those clips normalised by the statistics at that time, which
        know the corrections.
    coming
        For each, the clips to come as the personal model recognises them.
    """

    fresh: Examples
    remembered: Mapping[int, Examples]
    coming: Mapping[int, Examples]


def hear(
    clips: Examples, order: NDArray[np.int64], front_end: FrontEnd, begun: Start | None = None
) -> Heard:
    """Let a device that knows nothing of its user hear all of the user's clips.

    Parameters
    ----------
    clips
        A user's, not normalised.
    order
        Indices of the clips.
    front_end
        What computed their features.
    begun
        What the device's statistics begin with; nothing, if not given.
    """
    raw, statistics = clips.take(order), no_statistics(front_end, begun)
    fresh: list[Examples] = []
    remembered: dict[int, Examples] = {}
    coming: dict[int, list[Examples]] = {}
    for place, frames in enumerate(raw.frames):
        statistics.update(raw.features[place, :frames])
        own = raw.take(np.array([place]))
        heard = raw.features[:place]
        fresh.append(_normalised(own, remembering(statistics, heard)))
        for count, later in coming.items():
            told = knowing(statistics, raw.labels[:count])
            said = np.where(np.arange(place) < count, raw.labels[:place], -1)
            later.append(_normalised(own, remembering(told, heard, said)))
        if (count := place + 1) in CORRECTIONS:
            known = raw.take(np.arange(count))
            told = remembering(knowing(statistics, known.labels), known.features, known.labels)
            remembered[count] = _normalised(known, told)
            coming[count] = []
    some = {count: together(later) for count, later in coming.items() if later}
    return Heard(together(fresh), remembered, some)


def _normalised(raw: Examples, statistics: Statistics) -> Examples:
    features = statistics.normalise(raw.features, raw.frames)
    return replace(raw, features=features, doubts=doubts(statistics, raw.features))


def plan_models(collect: Collect, preset: str, models: Path, model: str) -> Cell:
    """Plan the global models: one for each fold of speakers, or one if the users are elsewhere."""

    def complete(values: Mapping[str, Any]) -> SimulationSettings:
        return collect({**values, "validation": False})

    (cell,) = experiment_one(complete, preset, models, [model], [BASELINE], 1)
    if any(planned.settings.normalisation != "device" for planned in cell.plan):
        raise SettingsError(
            "A device's running statistics need a model trained with such statistics.",
            "Give --normalisation device.",
        )
    first = cell.plan[0].settings
    if not first.has_folds and first.test_corpus is None:
        raise SettingsError(
            "Users should be speakers that the model never heard.", "Leave out --protocol paper."
        )
    return cell


def study(
    cell: Cell, console: "Console", *, orders: int, tuned: int
) -> tuple[list[str], dict[str, Counts]]:
    """Train the global models, and let every speaker that they never heard correct them.

    Parameters
    ----------
    cell
        From :func:`plan_models`; models that are there already are used.
    console
        For progress.
    orders
        In how many random orders each user's clips come.
    tuned
        In how many of these everything is fine-tuned, too: that is slow.

    Returns
    -------
    users, counts
        Whose clips they are; and the confusions of each of :data:`METHODS` (the last only if it
        was asked for).

    Raises
    ------
    ChorusError
        If a global model cannot be trained, or a user has too few clips.
    """
    first = cell.plan[0].settings
    utterances = load_utterances(first)
    # Who has too few clips is found before hours of training.
    tested = [list(_users(utterances, planned.settings)) for planned in cell.plan]
    execute(cell.plan, console, resume=True)
    engine = Engines().get(first)[0]
    names: list[str] = []
    users: list[dict[str, Counts]] = []
    for planned, own in zip(cell.plan, tested, strict=True):
        weights = load_weights(planned.folder / "model.safetensors", engine.architecture)
        for name, clips in own:
            seeds = partial(stream, planned.settings.seed, "personalisation", name)
            users.append(study_user(engine, weights, clips, seeds, orders, min(tuned, orders)))
            names.append(name)
            console.print(f"{name}: {len(clips)} clips in {orders} orders")
    return names, {method: np.stack([user[method] for user in users]) for method in users[0]}


def _users(utterances: Utterances, settings: SimulationSettings) -> Iterator[tuple[str, Examples]]:
    """Give the speakers that a run's model is tested on, each with the clips."""
    test = split(utterances, settings).test
    for name in np.unique(utterances.speakers[test]):
        clips = utterances.examples.take(test[utterances.speakers[test] == name])
        if len(clips) <= max(CORRECTIONS):
            most = max(CORRECTIONS)
            raise SettingsError(
                f"{name} has {len(clips)} clips; none is left after {most} corrections.",
                "Give a corpus whose speakers have more.",
            )
        yield str(name), clips


def study_user(
    engine: Engine,
    weights: Weights,
    clips: Examples,
    seeds: Callable[..., np.random.Generator],
    orders: int,
    tuned: int = 0,
    begun: Start | None = None,
    calibration: Calibration = UNMEASURED,
) -> dict[str, Counts]:
    """Let one person, whom a model never heard, correct it.

    Parameters
    ----------
    engine, weights
        The model.
    clips
        The person's, not normalised; more than the largest of :data:`CORRECTIONS`.
    seeds
        Gives a stream by its names.
    orders, tuned
        As for :func:`study`.
    begun
        What the device's statistics begin with; nothing, if not given.
    calibration
        How sure the model may be, from which personal models set out.

    Returns
    -------
    dict
        The confusions of each method, shape ``(orders, len(CORRECTIONS), labels, labels)``.
    """
    task = engine.architecture.task
    labels, front_end = len(task.labels), front_end_of(task.front_end)
    shape = (len(CORRECTIONS), labels, labels)
    counts = {method: np.zeros((orders, *shape), np.int64) for method in (GLOBAL, PERSONAL)}
    if tuned:
        counts[TUNED] = np.zeros((tuned, *shape), np.int64)

    def doubted(heard: Examples) -> NDArray[np.float32]:
        logits = engine.logits(weights, heard.features, heard.frames)
        return calibration.doubted(logits, heard.doubts)

    for number in range(orders):
        order = seeds("order", number).permutation(len(clips))
        heard = hear(clips, order, front_end, begun)
        logits = doubted(heard.fresh)
        for row, count in enumerate(CORRECTIONS):
            coming = heard.fresh.take(np.arange(count, len(clips)))
            found = dict.fromkeys(counts, logits[count:])
            if count:
                own, known = heard.remembered[count], heard.coming[count]
                personal = PersonalModel.fit(own, doubted(own), calibration.temperature)
                found[PERSONAL] = personal.logits(known.features, known.frames, doubted(known))
            if count and number < tuned:
                streams = partial(seeds, "training", number, count)
                outcome = train(engine, weights, own, FINE_TUNING, streams)
                if isinstance(outcome, Trained):
                    found[TUNED] = engine.logits(outcome.weights, coming.features, coming.frames)
            for method, answers in found.items():
                if number < len(counts[method]):
                    found_labels = predicted(answers)
                    counts[method][number, row] = confusion(coming.labels, found_labels, labels)
    return counts


def user_uars(counts: Counts) -> NDArray[np.float64]:
    """Score each user's orders together, so that every label is among the clips to come.

    Returns
    -------
    numpy.ndarray
        UAR, shape ``(users, len(CORRECTIONS))``.
    """
    pooled = counts.sum(axis=1)
    names = [str(place) for place in range(counts.shape[-1])]
    uars = [[Scores.from_confusion(matrix, names).uar for matrix in user] for user in pooled]
    return np.array(uars)


def gains(counts: Mapping[str, Counts], method: str) -> NDArray[np.float64]:
    """Compare a method with the global model on the same clips in the same orders, as UAR.

    Returns
    -------
    numpy.ndarray
        Shape ``(users, len(CORRECTIONS))``.
    """
    orders = counts[method].shape[1]
    return user_uars(counts[method]) - user_uars(counts[GLOBAL][:, :orders])


def noise(counts: Mapping[str, Counts], method: str) -> NDArray[np.float64]:
    """Estimate the standard error of :func:`gains` by the jackknife over orders (Tukey, 1958).

    The clips are the same in all orders, so it is rather too small; NaN for a single order.
    """
    orders = counts[method].shape[1]
    if orders == 1:
        return np.full((counts[method].shape[0], len(CORRECTIONS)), np.nan)
    compared = {name: counts[name][:, :orders] for name in (GLOBAL, method)}
    without = np.stack(
        [
            gains({name: np.delete(own, order, 1) for name, own in compared.items()}, method)
            for order in range(orders)
        ]
    )
    spread = np.square(without - without.mean(axis=0)).sum(axis=0)
    return np.asarray(np.sqrt((orders - 1) / orders * spread), np.float64)


def rows_of_personalisation(counts: Mapping[str, Counts]) -> list[list[str]]:
    """Lay out a table: a row a number of corrections; the first row is the header."""
    header = ["corrections", "global model", "personal model", "gain", "lowest user's gain"]
    header += ["users worse than noise"]
    if TUNED in counts:
        # In fewer orders: the personal model's gain in these is what it compares with.
        first = {name: own[:, : counts[TUNED].shape[1]] for name, own in counts.items()}
        naive, ours = gains(first, TUNED), gains(first, PERSONAL)
        header += [
            "gain of fine-tuning everything",
            "its lowest user's",
            "personal in those orders",
        ]
    before, after = user_uars(counts[GLOBAL]), user_uars(counts[PERSONAL])
    gain, error = gains(counts, PERSONAL), noise(counts, PERSONAL)
    rows = [header]
    for row, count in enumerate(CORRECTIONS):
        worse = int((gain[:, row] < -2 * error[:, row]).sum())
        cells = [_spread(before[:, row]), _spread(after[:, row]), _spread(gain[:, row], "+")]
        cells += [f"{gain[:, row].min():+.3f}", f"{worse} of {len(gain)}"]
        if TUNED in counts:
            cells += [_spread(naive[:, row], "+"), f"{naive[:, row].min():+.3f}"]
            cells += [f"{_spread(ours[:, row], '+')}, {ours[:, row].min():+.3f}"]
        rows.append([str(count), *cells])
    return rows


def _spread(values: NDArray[np.float64], sign: str = "") -> str:
    """Write mean ± standard deviation over users."""
    deviation = values.std(ddof=1) if len(values) > 1 else 0.0
    return f"{values.mean():{sign}.3f} ± {deviation:.3f}"


def draw_personalisation(counts: Mapping[str, Counts], path: Path) -> None:
    """Draw UAR against corrections: a line a method, a band of one deviation over users."""
    curves = [Curve(method, CORRECTIONS, user_uars(own)) for method, own in counts.items()]
    draw_curves(curves, path, "Corrected clips", "UAR on the clips still to come")

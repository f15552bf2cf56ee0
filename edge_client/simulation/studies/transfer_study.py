"""How far emotion that was learnt in one language carries over to another.

After Goel & Beigi, *Cross Lingual Cross Corpus Speech Emotion Recognition* (2020,
https://arxiv.org/abs/2003.07996): each language by each, each by all others, and fine-tuned on a
few clips of the language that is scarce. Nobody who is tested has taught.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from edge_client.learning.training import Progress, Streams, Trained, train
from edge_client.simulation.data import Split
from edge_client.simulation.engines import Engines
from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.first_weights import first_weights
from edge_client.simulation.known import document_of, score_by_known
from edge_client.simulation.normalisation import normalise, voice_model
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.language_settings import CellSettings, TransferSettings
from edge_client.simulation.studies.languages import Languages, languages_named, teachings_of
from edge_client.simulation.studies.second_task import (
    taught_twice,
    with_languages,
    without_languages,
)
from edge_client.simulation.teaching import taught_before
from edge_client.simulation.utterances import Indices
from shared.architectures import MODELS, KerasModel
from shared.errors import SettingsError
from shared.features.start_file import save_model
from shared.front_ends import front_end_of
from shared.metrics import Scores, confusion, predicted
from shared.model_notes import ModelNotes
from shared.model_notes.model_card import ModelCard
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from shared.weights import Weights

_NOBODY = np.empty(0, np.int64)


def plan_cells(
    settings: TransferSettings, names: Sequence[str], seeds: int, *, second_task: bool = False
) -> Iterator[CellSettings]:
    """Plan all results: the matrix, each language by the others, fine-tuned, federated.

    Parameters
    ----------
    settings
        What all have in common.
    names
        Of the languages.
    seeds
        How often all is done, with seeds from that of the settings on.
    second_task
        Whether several languages also teach models that have the language as a second task.

    Raises
    ------
    SettingsError
        If the second task has nothing to begin with, no layer to share, or no languages to tell.
    """
    if second_task:
        _check_second_task(settings, names)
    for seed in range(settings.seed, settings.seed + seeds):
        own = settings.model_copy(update={"seed": seed})
        for tested in names:
            yield from _cells_of(own, names, tested, second_task=second_task)


def _check_second_task(settings: TransferSettings, names: Sequence[str]) -> None:
    layers = MODELS.get(settings.model)
    if isinstance(layers, KerasModel):
        raise SettingsError(
            f"{settings.model} builds a Keras model: what tells the language cannot be taken out "
            "of it again.",
            "Give --model mlp or other layers, or leave out --second-task.",
        )
    if not layers:
        raise SettingsError(
            f"{settings.model} has no hidden layer that two tasks could share.",
            "Give --model mlp, or leave out --second-task.",
        )
    if settings.initial:
        raise SettingsError(
            "A model of two tasks begins with fresh weights, not with those of one.",
            "Leave out --initial, or --second-task.",
        )
    if len(names) == 2:  # noqa: PLR2004 -- one of two is left to teach
        raise SettingsError(
            "The language as a second task needs two that teach and one to test on.",
            "Give a third --corpus, or leave out --second-task.",
        )


def _cells_of(
    settings: TransferSettings, names: Sequence[str], tested: str, *, second_task: bool
) -> Iterator[CellSettings]:
    """Plan the results of one tested language and one seed."""
    cell = partial(_cell, settings, tested=tested)
    folds = range(1, settings.folds + 1)
    others = [name for name in names if name != tested]
    tasks = (False, True) if second_task else (False,)
    yield from (cell([name]) for name in others)
    yield from (cell([tested], fold=fold) for fold in folds)
    for second in tasks:
        if len(others) > 1:
            yield cell(others, second_task=second)
        for fold, count in product(folds, filter(None, settings.shots)):
            yield cell(others, fold=fold, tuned_on=count, second_task=second)
    for fold, count in product(folds, filter(None, settings.shots)):
        yield cell([], fold=fold, tuned_on=count)
    # Fold by fold: clips are normalised, and voices fitted, once for what the same clips teach.
    for fold in folds:
        yield from (cell(names, fold=fold, second_task=second) for second in tasks)
        yield from (cell(names, fold=fold, way=way) for way in ("federated", "own-head"))


def _cell(
    common: TransferSettings, teachers: Sequence[str], *, tested: str, **own: Any
) -> CellSettings:
    """Give the settings of a result; what is common was checked already."""
    return CellSettings.model_construct(
        **dict(common), teachers=tuple(teachers), tested=tested, **own
    )


class Transfer:
    """Teaches models in some languages, and tests them in others.

    Parameters
    ----------
    settings
        What all results have in common.
    languages
        Who speaks.
    """

    def __init__(self, settings: TransferSettings, languages: Languages) -> None:
        self._settings, self._languages = settings, languages
        self._simulation, self._task = settings.simulation(), settings.task
        self._engines = Engines()
        self._engine = self._engines.get(self._simulation)[0]
        self._models: dict[tuple[Any, ...], Weights] = {}
        self._normal: tuple[bytes, Examples] | None = None

    def result(self, cell: CellSettings) -> dict[str, Any]:
        """Make one result.

        Returns
        -------
        dict
            Which result it is: ``teachers``, ``tested_on``, ``fold``, ``tuned_on``, ``way``,
            ``second_task`` and ``seed`` of the cell. ``uar`` and ``known`` (the scores by what is
            known of a speaker, as in other results), how many clips taught (``taught``), tuned
            (``tuned``) and were tested (``tested``), and ``seconds``.
        """
        begun = time.monotonic()
        cell = cell.model_copy(update={"front_end": self._settings.front_end})
        taught = self._taught(cell)
        few = self._few(cell)
        weights = self.model(cell, taught)
        heard = np.union1d(taught, few)
        if len(few):
            seeds = self._streams(cell, "tuning", cell.tested, cell.fold, cell.tuned_on or 0)
            weights = self._train(weights, heard, few, cell.tuning(head_only=False), seeds)
        if cell.way == "own-head":
            own = self._languages.taught(cell.tested, cell.fold)
            seeds = self._streams(cell, "own head", cell.tested, cell.fold)
            weights = self._train(weights, heard, own, cell.tuning(head_only=True), seeds)
        tested = self._languages.tested(cell.tested, cell.fold)
        scores = self._score(weights, heard, tested, cell)
        return {
            **_described(cell),
            "uar": scores[cell.known].uar,
            "taught": len(taught),
            "tuned": len(few),
            "tested": len(tested),
            "known": document_of(scores),
            "seconds": round(time.monotonic() - begun, 3),
        }

    def model(self, cell: CellSettings, taught: Indices) -> Weights:
        """Teach a cell's model, before it is fine-tuned; the same is made once."""
        own_fold = cell.fold if cell.tested in cell.teachers else 0
        federated = cell.way != "central"
        key = (*cell.teachers, own_fold, federated, cell.second_task, cell.seed)
        if key not in self._models:
            self._models[key] = self._federated(cell) if federated else self._central(cell, taught)
        return self._models[key]

    def write_model(self, folder: RunFolder, made_from: str) -> None:
        """Write a model that all languages have taught, with its card and what it was made from."""
        names = self._languages.names
        cell = _cell(self._settings, names, tested=names[0])
        taught = self._taught(cell)
        weights, architecture = self.model(cell, taught), self._engine.architecture
        before = taught_before(self._settings.initial)
        everybody = np.arange(len(self._languages.whole.examples))
        named = languages_named(self._settings.corpus)
        own = teachings_of(self._languages, named, everybody)
        card = ModelCard.begun_with(own, before)
        front_end = front_end_of(self._task.front_end)
        by_voice = cell.normalisation == "voice"
        voice = voice_model(self._languages.whole, taught, front_end) if by_voice else None
        notes = ModelNotes(card=card, made_from=made_from)
        save_model(folder.model, weights, architecture, notes, voice)

    def _taught(self, cell: CellSettings) -> Indices:
        """Give the clips of a cell's teachers."""
        fold = cell.fold if cell.tested in cell.teachers else 0
        parts = [self._languages.taught(name, fold) for name in cell.teachers]
        return np.sort(np.concatenate([_NOBODY, *parts]))

    def _few(self, cell: CellSettings) -> Indices:
        """Give the clips that a cell's model is fine-tuned on; more of them are the fewer, too."""
        if cell.tuned_on is None:
            return _NOBODY
        rng = stream(cell.seed, "transfer", "few", cell.tested, cell.fold)
        return self._languages.few(cell.tested, cell.fold, cell.tuned_on, rng)

    def _central(self, cell: CellSettings, taught: Indices) -> Weights:
        """Let some clips teach a model in one place; without any it stays as it begins."""
        begun = first_weights(self._seeded(cell), self._engine.architecture)
        if not len(taught):
            return begun
        seeds = self._streams(cell, "teaching", cell.fold if cell.tested in cell.teachers else 0)
        if cell.second_task:
            return self._of_two_tasks(cell, taught, seeds)
        return self._train(begun, taught, taught, cell.part(TrainingSettings), seeds)

    def _of_two_tasks(self, cell: CellSettings, taught: Indices, seeds: Streams) -> Weights:
        """Let clips teach their emotion and their language; keep what recognises emotion."""
        languages, own = self._languages, self._engine.architecture
        settings = with_languages(self._seeded(cell), len(languages.names))
        engine = self._engines.get(settings)[0]
        begun = first_weights(settings, engine.architecture)
        normal = self._normalised(taught).take(taught)
        twice = taught_twice(normal, languages.spoken[taught], own.labels)
        outcome = train(engine, begun, twice, cell.part(TrainingSettings), seeds)
        return without_languages(_finished(outcome), engine.architecture, own)

    def _federated(self, cell: CellSettings) -> Weights:
        """Let the languages teach a model as a federation, each in its own country."""
        settings = cell.federation()
        taught = self._taught(cell)
        normal = self._normalised(taught)
        places = [self._languages.taught(name, cell.fold) for name in cell.teachers]
        clients = [normal.take(place) for place in places]
        federation = SimulatedFederation(settings, self._engines.get(settings), clients)
        weights = first_weights(settings, self._engine.architecture)
        for number in range(1, settings.rounds + 1):
            weights = federation.run(number, weights).weights
        return weights

    def _train(
        self, begun: Weights, heard: Indices, own: Indices, how: TrainingSettings, seeds: Streams
    ) -> Weights:
        """Train on some of the clips that are heard."""
        examples = self._normalised(heard).take(own)
        return _finished(train(self._engine, begun, examples, how, seeds))

    def _normalised(self, heard: Indices) -> Examples:
        """Normalise all clips; where it matters, by the statistics of those that teach."""
        how = self._settings.normalisation
        key = heard.tobytes() if how in ("corpus", "voice") else b""
        if self._normal is None or self._normal[0] != key:
            front_end = front_end_of(self._task.front_end)
            self._normal = key, normalise(self._languages.whole, heard, how, front_end)
        return self._normal[1]

    def _score(
        self, weights: Weights, heard: Indices, tested: Indices, cell: CellSettings
    ) -> dict[str, Scores]:
        """Test a model on speakers whom it has not heard, by what is known of them."""
        names = self._task.names

        def score(some: Examples) -> Scores:
            logits = self._engine.logits(weights, some.features, some.frames)
            counts = confusion(some.labels, predicted(logits), len(names))
            return Scores.from_confusion(counts, names)

        parts = Split(heard, _NOBODY, tested)
        normal = self._normalised(heard).take(tested)
        return score_by_known(self._languages.whole, parts, normal, self._seeded(cell), score)

    def _seeded(self, cell: CellSettings) -> SimulationSettings:
        return self._simulation.model_copy(update={"seed": cell.seed})

    def _streams(self, cell: CellSettings, *names: str | int) -> Streams:
        return partial(stream, cell.seed, "transfer", "+".join(cell.teachers), *names)


def _finished(outcome: Trained | Progress) -> Weights:
    if not isinstance(outcome, Trained):
        raise TypeError("the training is never stopped between steps")
    return outcome.weights


def _described(cell: CellSettings) -> dict[str, Any]:
    """Say which result it is."""
    return {
        "teachers": list(cell.teachers),
        "tested_on": cell.tested,
        "fold": cell.fold,
        "tuned_on": cell.tuned_on,
        "way": cell.way,
        "second_task": cell.second_task,
        "seed": cell.seed,
    }

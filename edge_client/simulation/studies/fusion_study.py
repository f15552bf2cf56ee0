"""What words and motion add to speech: every branch alone, and fused by what a device has."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.data import split
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.report import spread
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import FusionSettings
from edge_client.simulation.start_checks import check_installed
from edge_client.simulation.studies import modalities as beside
from edge_client.simulation.studies.folds import PlannedFold, execute_folds, planned_folds
from edge_client.simulation.studies.fusion import (
    DENSE,
    MOTION,
    OVER_TIME,
    SPEECH,
    TEXT,
    Fusion,
    Modality,
    choices,
)
from edge_client.simulation.studies.fusion_file import write_fusion
from edge_client.simulation.studies.pretrained_file import check_begins_unheard
from edge_client.simulation.summary import summarise
from edge_client.simulation.utterances import Utterances
from shared.architectures import architecture_of
from shared.errors import CorpusError
from shared.front_ends import front_end_of
from shared.metrics import Scores, confusion
from shared.sentences import SentenceEncoder, sentence_encoder
from shared.training import Examples, TrainingSettings

if TYPE_CHECKING:
    from rich.console import Console

FUSED: Final = "fused: "
"""What the rows of the fused network begin with."""

CALLED: Final = {TEXT: "words", MOTION: "motion"}
"""What sentences call what is known besides speech."""

Folds = tuple[PlannedFold[FusionSettings], ...]


def plan_fusion(settings: FusionSettings, out: Path, seeds: int) -> list[Folds]:
    """Plan the folds of each seed.

    Raises
    ------
    SettingsError
        If there is no such model, or no such encoder of sentences, or the front end may have heard
        who is tested.
    MissingPartError
        If what that needs is not installed.
    """
    if settings.model:
        architecture_of(settings.model, settings.task)
    _encoder(settings.sentences)
    check_begins_unheard(settings)
    return [
        planned_folds(settings.model_copy(update={"seed": seed}), out / f"seed-{seed}")
        for seed in range(settings.seed, settings.seed + seeds)
    ]


def execute_fusion(plan: Sequence[Folds], console: "Console", *, overwrite: bool) -> dict[str, Any]:
    """Make all folds but those that are finished, and put them together.

    Returns
    -------
    dict
        ``systems``: for each branch and each choice of what is fused what
        :func:`edge_client.simulation.summary.summarise` gives; ``told_by_words`` and ``remarks``.

    Raises
    ------
    CorpusError
        If the corpus has neither words nor motion, or a fold learns from nobody who has one of them
        that others have.
    ChorusError
        If a fold cannot be made; those before it are kept.
    """
    check_installed("matplotlib", "tensorflow")
    study = FusionStudy()
    results = execute_folds(
        [fold for seed in plan for fold in seed],
        study.make,
        console,
        overwrite=overwrite,
        given=study.given,
    )
    names = list(results[0]["systems"])
    systems = {
        name: summarise([{**result, **result["systems"][name]} for result in results])
        for name in names
    }
    told = results[0]["told_by_words"]
    return {"systems": systems, "told_by_words": told, "remarks": _remarks(systems, told)}


class FusionStudy:
    """Makes folds; what all of them know besides speech is read once."""

    def __init__(self) -> None:
        self._known: Known | None = None

    def given(self, utterances: Utterances, settings: FusionSettings) -> dict[str, str]:
        """Give the digests of what a fold knows besides speech, by what it is.

        Raises
        ------
        CorpusError
            If that is nothing, or nobody whom the fold learns from has one of it.
        """
        known = self._known_of(utterances, settings)
        train = split(utterances, settings).train
        for name, own in known.beside.items():
            if not own.there[train].any():
                fold = f"fold {settings.fold}" if settings.has_folds else "the run"
                raise CorpusError(
                    f"No clip that {fold} learns from has {CALLED[name]}, which other clips have.",
                    "Give more --folds, or a corpus in which more speakers have it, or none.",
                )
        return known.digests

    def make(self, utterances: Utterances, fold: PlannedFold[FusionSettings]) -> dict[str, Any]:
        """Train branches and fusion on a fold's training set, test them, and write the model.

        Returns
        -------
        dict
            ``systems``: the scores of each; and what
            :func:`edge_client.simulation.summary.summarise` reads.

        Raises
        ------
        CorpusError
            If the corpus has neither words nor motion.
        """
        begun, settings = time.monotonic(), fold.settings
        parts = split(utterances, settings)
        known = self._known_of(utterances, settings)
        modalities = modalities_of(utterances, known.beside, parts.train, settings)
        task, names = settings.task, settings.task.names
        rows = utterances.with_copies(parts.train)
        training = TrainingSettings(epochs=settings.epochs)
        fusion = Fusion.of(modalities, rows, task, training, settings.seed)
        truth = utterances.examples.labels[parts.test]

        def scores(found: NDArray[np.int64]) -> dict[str, Any]:
            return Scores.from_confusion(confusion(truth, found, len(names)), names).to_dict()

        systems = {
            name: scores(branch.predict(modalities[name].examples.take(parts.test)))
            for name, branch in fusion.branches.items()
        }
        every = choices(tuple(modalities))
        for choice, fused in fusion.predict(modalities, parts.test, every).items():
            systems[FUSED + " + ".join(choice)] = scores(fused)
        whole = systems[FUSED + " + ".join(modalities)]
        encoder = _encoder(settings.sentences).name
        write_fusion(RunFolder(fold.folder).model, fusion, settings, encoder, whole["uar"])
        return {
            "seed": settings.seed,
            "settings": {**settings.model_dump(mode="json"), "rounds": 1},
            "utterances": {"train": len(parts.train), "test": len(parts.test)},
            "clients": 1,
            "seconds": time.monotonic() - begun,
            "told_by_words": known.told_by_words,
            "systems": systems,
            **whole,
        }

    def _known_of(self, utterances: Utterances, settings: FusionSettings) -> "Known":
        if self._known is None:
            self._known = Known.of(utterances, settings)
        return self._known


@dataclass(frozen=True)
class Known:
    """What is known of the utterances of a study besides their speech.

    Attributes
    ----------
    beside
        By :data:`TEXT` and :data:`MOTION`; what no clip of the corpus that teaches has is not
        there. Of all utterances, without their copies.
    told_by_words
        The share of clips whose sentence is not said in every label.
    digests
        Of the words, the motion, and what makes vectors of sentences.
    """

    beside: Mapping[str, beside.Beside]
    told_by_words: float
    digests: dict[str, str]

    @classmethod
    def of(cls, utterances: Utterances, settings: FusionSettings) -> Self:
        """Read what is known of some utterances.

        Raises
        ------
        CorpusError
            If that is nothing but their speech.
        """
        clips = beside.clips_of_utterances(utterances, settings)
        encoder = _encoder(settings.sentences)
        every = {TEXT: beside.words_of(clips, encoder), MOTION: beside.motion_of(clips)}
        home = len(clips) - utterances.foreign
        found = {name: own for name, own in every.items() if own.there[:home].any()}
        if not found:
            raise CorpusError(
                f"The corpus {settings.corpus} has neither words nor motion beside its sound.",
                "Take one that has; in a manifest they are the columns text and motion.",
            )
        digests = beside.digests_beside(clips, encoder)
        return cls(found, beside.told_by_words(clips), digests)


def modalities_of(
    utterances: Utterances,
    known: Mapping[str, beside.Beside],
    train: NDArray[np.int64],
    settings: FusionSettings,
) -> dict[str, Modality]:
    """Give speech, and what is known besides, of the utterances and, behind them, their copies."""
    front_end = front_end_of(settings.task.front_end)
    speech = normalise(utterances, train, settings.normalisation, front_end)
    hidden = DENSE
    if settings.model or front_end.shape.frames > 1:
        *layers, _ = architecture_of(settings.model or "conv", settings.task).layers
        hidden = tuple(layers) or DENSE
    found = {
        SPEECH: Modality(SPEECH, hidden, speech, np.ones(len(speech), np.bool_), front_end.shape)
    }
    sources = np.arange(len(utterances.examples))
    if utterances.copies is not None:
        sources = np.concatenate([sources, utterances.copies.sources])
    for name, own in known.items():
        scaled = beside.motion_normalised(own, train) if name == MOTION else own
        frames = np.full(len(sources), own.values.shape[1], np.int32)
        examples = Examples(scaled.values[sources], frames, speech.labels)
        layers_of = OVER_TIME if name == MOTION else DENSE
        found[name] = Modality(name, layers_of, examples, own.there[sources])
    return found


@cache
def _encoder(name: str) -> SentenceEncoder:
    return sentence_encoder(name)


def _remarks(systems: Mapping[str, dict[str, Any]], told: float) -> list[str]:
    """Say what fusion did to speech and, where it is so, that the words tell nothing."""
    speech = systems[SPEECH]["mean"]["uar"]
    fused = next(name for name in systems if name.startswith(FUSED))
    gain = systems[fused]["mean"]["uar"] - speech
    remarks = [
        f"Fused of all it has a UAR of {speech + gain:.3f}, speech alone {speech:.3f}: {gain:+.3f}."
    ]
    if TEXT in systems and told <= beside.ALIKE:
        remarks.append(
            f"The words of this corpus tell nothing: {1 - told:.0%} of its clips say what is said "
            "in every emotion. Fusion can only do no harm here."
        )
    return remarks


def rows_of_fusion(systems: Mapping[str, dict[str, Any]]) -> list[list[str]]:
    """Lay out a table: a row a branch or choice of what is fused; the first row is the header."""
    rows = [["what is known", "UAR", "accuracy", "macro-F1"]]
    for name, summary in systems.items():
        mean, std = summary["mean"], summary["std"]
        scores = [spread(mean[each], std[each]) for each in ("uar", "accuracy", "macro_f1")]
        rows.append([name if name.startswith(FUSED) else f"{name} alone", *scores])
    return rows

"""How far embeddings tell emotions apart by LDA and pLDA: classes, and pairs of clips.

After Ananthram, Saravanakumar, Huynh & Beigi, *Multi-Modal Emotion Detection with Transfer
Learning* (2020, https://arxiv.org/abs/2011.07065). Both are fitted to sums that add up: each
speaker is a client that sends them once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.class_sums import ClassSums
from edge_client.learning.discriminants import Lda, Plda
from edge_client.simulation.data import Split
from edge_client.simulation.known import score_by_known
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.studies.cells import Step, execute_steps
from edge_client.simulation.studies.language_settings import (
    EmbeddingCellSettings,
    EmbeddingSettings,
    called,
)
from edge_client.simulation.studies.languages import Languages, languages_named, teachings_of
from edge_client.simulation.studies.vectors import SPEAKERS, TEXT, VectorMaker, Vectors
from edge_client.simulation.utterances import Indices
from shared.corpora import CORPORA
from shared.errors import SettingsError
from shared.metrics import Scores, confusion
from shared.model_notes.model_card import ModelCard, cut
from shared.storage.tensor_file import write_tensors
from shared.training import Examples

if TYPE_CHECKING:
    from rich.console import Console

Values = NDArray[np.float64]

METHODS: Final = {"cosine": "cosine of the vectors", "lda": "LDA", "plda": "LDA, pLDA"}
"""What compares clips; the first learns nothing, and knows no classes."""

FORMAT: Final = "chorus-discriminants 1"
"""What files of what was fitted call themselves."""

FEWEST_SPEAKERS: Final = 2
"""Whom pLDA learns from: of one speaker it cannot know what differs between speakers."""


class Answers(NamedTuple):
    """What a method says of a test's clips."""

    scores: Values
    """Of each label, shape ``(n, labels)``; without columns if it knows none."""
    pairs: Values
    """Of each two clips being of one emotion, shape ``(n, n)``."""


class Heads(NamedTuple):
    """What was fitted to the clips that teach."""

    lda: Lda
    plda: Plda

    @classmethod
    def fit(cls, sums: ClassSums, shrinkage: float) -> "Heads":
        """Fit LDA to sums, and pLDA to their projections."""
        lda = Lda.fit(sums, shrinkage)
        return cls(lda, Plda.fit(sums.projected(lda.axes), scale=1.0))

    @property
    def tensors(self) -> dict[str, Values]:
        """What their file holds, by name: ``lda/axes``, ``plda/mean`` and so on."""
        return {
            f"{name}/{field.name}": getattr(own, field.name)
            for name, own in (("lda", self.lda), ("plda", self.plda))
            for field in fields(own)
        }

    def answers(self, vectors: NDArray[np.float32]) -> dict[str, Answers]:
        """Score vectors of shape ``(n, d)`` by each of :data:`METHODS`."""
        long = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors.astype(np.float64) / np.maximum(long, np.finfo(np.float32).tiny)
        points = self.lda.project(vectors)
        return {
            "cosine": Answers(np.empty((len(vectors), 0)), unit @ unit.T),
            "lda": Answers(self.lda.scores(vectors), self.lda.pair_scores(vectors)),
            "plda": Answers(self.plda.scores(points), self.plda.pair_scores(points)),
        }


def equal_error_rate(same: Values, other: Values) -> float:
    """Give the rate at which as many pairs of one class are missed as of two are taken for one.

    Parameters
    ----------
    same, other
        Scores of pairs of one class, and of two; higher means rather one. There are some of each.
    """
    thresholds = np.unique(np.concatenate([same, other]))
    missed = np.searchsorted(np.sort(same), thresholds) / len(same)
    taken = 1 - np.searchsorted(np.sort(other), thresholds) / len(other)
    # Missed rises from 0, taken falls from 1; behind the last score all are missed, none taken.
    missed, taken = np.append(missed, 1.0), np.append(taken, 0.0)
    place = int(np.argmax(missed >= taken))
    if place == 0:
        return float(taken[0])
    gap = taken - missed
    share = gap[place - 1] / (gap[place - 1] - gap[place])
    return float(missed[place - 1] + share * (missed[place] - missed[place - 1]))


def plan_embeddings(
    settings: EmbeddingSettings, names: Sequence[str]
) -> list[EmbeddingCellSettings]:
    """Plan the results: of each of the vectors, each language by its own speakers and all others.

    Where there is one language, there are no others. What does not matter to vectors has its
    default: their results stay when it changes.
    """
    cells = []
    for vectors in settings.vectors:
        own: dict[str, Any] = {**dict(settings), "vectors": (vectors,)}
        for part, name in ((SPEAKERS, "pretraining_epochs"), (TEXT, "sentences")):
            if part not in vectors.split("+"):
                own[name] = EmbeddingSettings.model_fields[name].default
        cells += [
            EmbeddingCellSettings.model_construct(**own, tested=name, unseen=unseen)
            for name in names
            for unseen in ((False, True) if len(names) > 1 else (False,))
        ]
    return cells


def execute_embeddings(
    settings: EmbeddingSettings, out: Path, console: "Console", *, overwrite: bool
) -> list[dict[str, Any]]:
    """Make all results but those that are there; see :meth:`Embeddings.result`.

    Raises
    ------
    ChorusError
        If one cannot be made; those before it are kept.
    """
    named = languages_named(settings.corpus, fewest=1)
    maker = VectorMaker(settings, named, out, console, overwrite=overwrite)

    def step(cell: EmbeddingCellSettings) -> Step:
        folder = RunFolder(out / cell.name)

        def clips() -> str:
            vectors = maker.make(cell.vectors[0], cell.tested)
            check_can_learn(cell, vectors)
            return vectors.languages.whole.digest

        def make() -> dict[str, Any]:
            vectors = maker.make(cell.vectors[0], cell.tested)
            return Embeddings(cell, vectors, folder.path).result()

        return Step(cell.name, folder, cell, clips, make)

    cells = plan_embeddings(settings, [language.name for language in named])
    return execute_steps([step(cell) for cell in cells], console, overwrite=overwrite)


def folds_of(cell: EmbeddingCellSettings, languages: Languages) -> dict[int, Indices]:
    """Give the utterances that each fold of a result learns from; fold 0: all other languages."""
    if not cell.unseen:
        folds = range(1, languages.folds + 1)
        return {fold: languages.taught(cell.tested, fold) for fold in folds}
    others = [name for name in languages.names if name != cell.tested]
    return {0: np.concatenate([languages.taught(name) for name in others])}


def check_can_learn(cell: EmbeddingCellSettings, vectors: Vectors) -> None:
    """Raise :class:`SettingsError` if a fold leaves too few speakers, or no clip of some label."""
    whole = vectors.languages.whole
    for fold, taught in folds_of(cell, vectors.languages).items():
        count = len(np.unique(whole.speakers[taught]))
        if count < FEWEST_SPEAKERS:
            raise SettingsError(
                f"pLDA learns from at least {FEWEST_SPEAKERS} speakers, and fold {fold} of "
                f"{cell.tested} leaves {count}.",
                "Give more --folds, or a corpus of more speakers.",
            )
        if missing := vectors.data.task.missing(whole.examples.labels[taught]):
            raise SettingsError(
                f"Nobody from whom fold {fold} of {cell.tested} learns is {' or '.join(missing)}.",
                "Give more --folds, other --labels, or a corpus in which several speakers are.",
            )


class Embeddings:
    """Fits LDA and pLDA to some speakers, and tests them on others.

    Parameters
    ----------
    cell
        What determines the result.
    vectors
        What is compared.
    folder
        Where what was fitted is kept, with a card.
    """

    def __init__(
        self,
        cell: EmbeddingCellSettings,
        vectors: Vectors,
        folder: Path,
    ) -> None:
        self._cell, self._vectors, self._languages = cell, vectors, vectors.languages
        self._folder = folder
        self._labels = vectors.data.task.names
        self._found: dict[str, dict[str, list[_Tested]]] = {name: {} for name in METHODS}

    def result(self) -> dict[str, Any]:
        """Make the result.

        Returns
        -------
        dict
            ``vectors``, ``tested_on``, ``unseen``, ``taught`` (clips, of one fold), ``federated``
            (``clients``, ``bytes_up`` of one of them, and ``difference``: how far scores differ at
            most from those of central sums, as a share of the largest), ``uar`` of pLDA, and
            ``methods``: by method and what is known of a speaker ``uar`` and ``confusion``, and
            ``eer``.
        """
        cell, languages = self._cell, self._languages
        federated, fitted = [], []
        for fold, taught in folds_of(cell, languages).items():
            heads, facts = self._fold(taught, languages.tested(cell.tested, fold))
            fitted.append((fold, taught, heads))
            federated.append(facts)
        methods = {
            method: {known: _summary(parts, self._labels) for known, parts in own.items()}
            for method, own in self._found.items()
        }
        reached = {known: round(own["uar"], 4) for known, own in methods["plda"].items()}
        for fold, taught, heads in fitted:
            self._keep(fold, taught, heads, reached)
        return {
            "vectors": called(self._vectors.name),
            "tested_on": cell.tested,
            "unseen": cell.unseen,
            "taught": len(taught),
            "federated": {
                **federated[-1],
                "difference": max(one["difference"] for one in federated),
            },
            "uar": methods["plda"][cell.known]["uar"],
            "methods": methods,
        }

    def _keep(self, fold: int, taught: Indices, heads: Heads, reached: Mapping[str, float]) -> None:
        """Write what a fold has learnt, with a card."""
        cell, lesson = self._cell, f"LDA and pLDA of {called(self._vectors.name)}"
        named = {own.name: own for own in languages_named(cell.corpus, fewest=1)}
        tested = CORPORA.get(named[cell.tested].corpus).info.title
        card = ModelCard(
            taught_by=teachings_of(self._languages, list(named.values()), taught, lesson),
            reached={cut(tested): dict(reached)},
        )
        facts = {
            "format": FORMAT,
            "labels": ",".join(self._labels),
            "normalisation": self._cell.normalisation,
            "vectors": str(self._vectors.front_end.shape),
        }
        path = self._folder / f"heads-fold-{fold}.safetensors"
        write_tensors(path, heads.tensors, {**facts, **card.to_metadata()})

    def _fold(self, taught: Indices, tested: Indices) -> tuple[Heads, dict[str, Any]]:
        """Fit to some clips, add what is found on others, and say what a federation has sent."""
        whole, front_end = self._languages.whole, self._vectors.front_end
        normal = normalise(whole, taught, self._cell.normalisation, front_end)
        vectors, labels = normal.features[taught, 0], normal.labels[taught]
        speakers, count = whole.speakers[taught], len(self._labels)
        clients = [
            ClassSums.of(vectors[speakers == name], labels[speakers == name], count)
            for name in np.unique(speakers)
        ]
        heads = Heads.fit(reduce(add, clients), self._cell.shrinkage)
        central = Heads.fit(ClassSums.of(vectors, labels, count), self._cell.shrinkage)
        own = normal.take(tested)
        one, other = (each.answers(own.features[:, 0])["plda"] for each in (heads, central))
        facts = {
            "clients": len(clients),
            "bytes_up": clients[0].size,
            "difference": max(_difference(*both) for both in zip(one, other, strict=True)),
        }

        def score(some: Examples) -> dict[str, _Tested]:
            # With two moods known a clip is tested several times: it would be its own pair.
            once = len(some) == len(tested)
            answers = heads.answers(some.features[:, 0])
            return {name: _Tested.of(own, some.labels, once=once) for name, own in answers.items()}

        parts, data = Split(taught, np.empty(0, np.int64), tested), self._vectors.data
        found = score_by_known(whole, parts, own, data, score, front_end)
        for known, by_method in found.items():
            for method, one_test in by_method.items():
                self._found[method].setdefault(known, []).append(one_test)
        return heads, facts


class _Tested(NamedTuple):
    """What a fold adds to the scores of a method."""

    counts: NDArray[np.int64]
    same: Values
    other: Values

    @classmethod
    def of(cls, answers: Answers, labels: NDArray[np.int32], *, once: bool) -> "_Tested":
        size = answers.scores.shape[1]
        counts = confusion(labels, answers.scores.argmax(axis=1), size) if size else _NOTHING
        one, two = np.triu_indices(len(labels), 1) if once else (_NO_PAIR, _NO_PAIR)
        pairs, alike = answers.pairs[one, two], labels[one] == labels[two]
        return cls(counts, pairs[alike], pairs[~alike])


_NOTHING = np.empty((0, 0), np.int64)
_NO_PAIR = np.empty(0, np.int64)


def _difference(one: Values, other: Values) -> float:
    """Give how far values differ at most, as a share of the largest; 0 if all are the same."""
    farthest = float(np.abs(one - other).max())
    return farthest and farthest / float(np.abs(other).max())


def _summary(parts: Sequence[_Tested], names: Sequence[str]) -> dict[str, Any]:
    """Put the folds together: clips count once, and pairs are of clips of one fold."""
    found: dict[str, Any] = {}
    if parts[0].counts.size:
        counts = np.sum([part.counts for part in parts], axis=0)
        found["uar"] = Scores.from_confusion(counts, names).uar
        found["confusion"] = counts.tolist()
    same, other = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("same", "other")
    )
    if len(same) and len(other):
        found["eer"] = equal_error_rate(same, other)
    return found

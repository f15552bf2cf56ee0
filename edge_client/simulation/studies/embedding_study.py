"""How far embeddings tell emotions apart by LDA and pLDA: classes, and pairs of clips.

After Ananthram, Saravanakumar, Huynh & Beigi, *Multi-Modal Emotion Detection with Transfer
Learning* (2020, https://arxiv.org/abs/2011.07065). Both are fitted to sums that add up: each
speaker is a client that sends them once.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.class_sums import ClassSums
from edge_client.learning.discriminants import Lda, Plda
from edge_client.simulation.data import Split
from edge_client.simulation.known import score_by_known
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.studies.language_settings import (
    EmbeddingCellSettings,
    EmbeddingSettings,
)
from edge_client.simulation.studies.languages import Languages
from edge_client.simulation.utterances import Indices
from shared.errors import SettingsError
from shared.front_ends import front_end_of
from shared.metrics import Scores, confusion
from shared.pictures.drawing import (
    INK,
    LINE_COLOURS,
    make_figure,
    percents,
    save_figure,
    style_axes,
)
from shared.training import Examples

Values = NDArray[np.float64]

METHODS: Final = {"cosine": "cosine of the vectors", "lda": "LDA", "plda": "LDA, pLDA"}
"""What compares clips; the first learns nothing, and knows no classes."""

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
        return cls(lda, Plda.fit(sums.projected(lda.axes)))

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
) -> dict[str, EmbeddingCellSettings]:
    """Plan the results: each language by its own speakers and, of several, by all others."""
    teachers = (False, True) if len(names) > 1 else (False,)
    cells = [
        EmbeddingCellSettings.model_construct(**dict(settings), tested=name, unseen=unseen)
        for name in names
        for unseen in teachers
    ]
    return {cell.name: cell for cell in cells}


class Embeddings:
    """Fits LDA and pLDA to some speakers, and tests them on others.

    Parameters
    ----------
    settings
        What all results have in common.
    languages
        Who speaks.

    Raises
    ------
    SettingsError
        If the front end gives frames, or a fold leaves too few speakers.
    """

    def __init__(self, settings: EmbeddingSettings, languages: Languages) -> None:
        self._settings, self._languages = settings, languages
        self._data, self._task = settings.data(), settings.task
        shape = self._task.front_end
        if shape.frames != 1:
            raise SettingsError(
                f"LDA compares one vector an utterance; {shape.name} gives up to {shape.frames} "
                "frames.",
                "Give a front end that pools over time, such as whisper-speech.",
            )
        for name in languages.names:
            for fold in range(1, settings.folds + 1):
                taught = languages.taught(name, fold)
                count = len(np.unique(languages.whole.speakers[taught]))
                if count < FEWEST_SPEAKERS:
                    raise SettingsError(
                        f"pLDA learns from at least {FEWEST_SPEAKERS} speakers, and fold {fold} of "
                        f"{name} leaves {count}.",
                        "Give more --folds, or a corpus of more speakers.",
                    )

    def result(self, cell: EmbeddingCellSettings) -> dict[str, Any]:
        """Make one result.

        Returns
        -------
        dict
            ``tested_on``, ``unseen``, ``taught`` (clips, of one fold), ``federated`` (``clients``,
            ``bytes_up`` of one of them, and ``difference``: how far scores differ at most from
            those of central sums, as a share of the largest), ``uar`` of pLDA, and ``methods``: by
            method and what is known of a speaker ``uar`` and ``confusion``, and ``eer``.
        """
        languages = self._languages
        found: dict[str, dict[str, list[_Tested]]] = {name: {} for name in METHODS}
        federated: list[dict[str, Any]] = []
        for fold in [0] if cell.unseen else range(1, cell.folds + 1):
            others = [name for name in languages.names if name != cell.tested]
            parts = [languages.taught(name) for name in others]
            taught = np.concatenate(parts) if cell.unseen else languages.taught(cell.tested, fold)
            tested = languages.tested(cell.tested, fold)
            self._fold(taught, tested, found, federated)
        methods = {
            method: {known: _summary(parts, self._task.names) for known, parts in own.items()}
            for method, own in found.items()
        }
        return {
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

    def _fold(
        self,
        taught: Indices,
        tested: Indices,
        found: dict[str, dict[str, list["_Tested"]]],
        federated: list[dict[str, Any]],
    ) -> None:
        """Fit to some clips, and add what is found on others."""
        whole, front_end = self._languages.whole, front_end_of(self._task.front_end)
        normal = normalise(whole, taught, self._settings.normalisation, front_end)
        vectors, labels = normal.features[taught, 0], normal.labels[taught]
        speakers, count = whole.speakers[taught], len(self._task.labels)
        clients = [
            ClassSums.of(vectors[speakers == name], labels[speakers == name], count)
            for name in np.unique(speakers)
        ]
        heads = Heads.fit(reduce(add, clients), self._settings.shrinkage)
        central = Heads.fit(ClassSums.of(vectors, labels, count), self._settings.shrinkage)
        own = normal.take(tested)
        one, other = (each.answers(own.features[:, 0])["plda"] for each in (heads, central))
        federated.append(
            {
                "clients": len(clients),
                "bytes_up": clients[0].size,
                "difference": max(_difference(*both) for both in zip(one, other, strict=True)),
            }
        )

        def score(some: Examples) -> dict[str, _Tested]:
            # With two moods known a clip is tested several times: it would be its own pair.
            once = len(some) == len(tested)
            answers = heads.answers(some.features[:, 0])
            return {name: _Tested.of(own, some.labels, once=once) for name, own in answers.items()}

        parts = Split(taught, np.empty(0, np.int64), tested)
        for known, by_method in score_by_known(whole, parts, own, self._data, score).items():
            for method, one_test in by_method.items():
                found[method].setdefault(known, []).append(one_test)


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
    return float(np.abs(one - other).max() / np.abs(other).max())


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

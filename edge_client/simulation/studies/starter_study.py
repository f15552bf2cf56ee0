"""What starters reach on people they have never heard: other speakers, or other corpora."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from edge_client.learning.starter import Normalisation, Starter, make_starter
from edge_client.simulation.degradations import vary_in_conditions
from edge_client.simulation.known import devices, joined
from edge_client.simulation.report import spread
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import KNOWN, MOSTLY
from edge_client.simulation.studies.cells import Step, execute_steps
from edge_client.simulation.studies.personalisation_study import (
    CORRECTIONS,
    GLOBAL,
    PERSONAL,
    gains,
    noise,
    study_user,
    user_uars,
)
from edge_client.simulation.studies.pretrained_file import digest_of_speech
from edge_client.simulation.summary import deviation
from edge_client.simulation.utterances import Utterances
from edge_client.tflite.engine import TfliteEngine
from shared.corpora import Corpus, titles_of
from shared.errors import CorpusError, SettingsError
from shared.features.cache import extract_features, tell_skipped
from shared.features.labelled_clips import normalised_by_owner
from shared.front_ends import front_end_of
from shared.metrics import Scores, confusion, predicted
from shared.randomness import stream
from shared.task import Task
from shared.task_settings import LabelSettings
from shared.training import Examples, Seed
from shared.weights import split

if TYPE_CHECKING:
    from rich.console import Console

Counts = NDArray[np.int64]

_KNOWN: Final = {
    **{known: f"UAR, {known} known" for known in (*KNOWN, "4")},
    MOSTLY: "UAR, mostly one mood",
}
"""What a device may know of its user when it is tested, and how a column is called."""


@dataclass(frozen=True)
class Plan:
    """What is to be studied.

    Attributes
    ----------
    corpora
        What starters are made of.
    tests
        Corpora to test on; none: the speakers of the first corpus are tested in turn, each fold
        with a starter of the others and of the other corpora.
    task
        What is recognised.
    how
        How devices normalise.
    copies
        Of each clip that teaches, in conditions.
    folds
        Of speakers, where there are no other corpora to test on.
    seeds
        Of copies, orders of clips, and what is known of a speaker.
    orders
        Random orders in which a speaker corrects clips; 0: nobody corrects anything.
    """

    corpora: Sequence[Corpus]
    tests: Sequence[Corpus]
    task: Task
    how: Normalisation
    copies: int
    folds: int
    seeds: Sequence[int]
    orders: int

    def of_usable(self, console: "Console") -> Self:
        """Give the same with the clips alone that have a label and can be used.

        Raises
        ------
        CorpusError
            If a corpus has none.
        """
        front_end = front_end_of(self.task.front_end)

        def usable(corpus: Corpus) -> Corpus:
            found = extract_features(corpus.labelled, front_end)
            tell_skipped(found.skipped, console)
            return replace(corpus, clips=found.clips)

        corpora, tests = ([usable(own) for own in each] for each in (self.corpora, self.tests))
        return replace(self, corpora=corpora, tests=tests)

    def check(self) -> None:
        """Raise :class:`SettingsError` if there is nobody to test on, or to teach a label."""
        count = len(self._tested_in_turn)
        if not self.tests and count < self.folds:
            raise SettingsError(
                f"{count} speaker{'s' * (count > 1)} cannot be divided into {self.folds} folds.",
                "Give fewer --folds, or --test NAME=PATH.",
            )
        for number, (title, corpora, _) in enumerate(self.parts(), 1):
            said = {clip.label for corpus in corpora for clip in corpus.labelled}
            if missing := [name for name in self.task.names if name not in said]:
                fold = "" if self.tests else f" in fold {number}"
                raise SettingsError(
                    f"Nobody who teaches{fold} is {' or '.join(missing)}, to test {title}.",
                    "Give more --folds, other --labels, or one more --corpus.",
                )

    @property
    def _tested_in_turn(self) -> list[str]:
        """Speakers of the first corpus, sorted; who has no clip with a label would test nothing."""
        return sorted({clip.speaker for clip in self.corpora[0].labelled})

    def parts(self) -> Iterator[tuple[str, Sequence[Corpus], Corpus]]:
        """Give what each test is called, what to make its starter of, and what to test it on.

        Folds are called alike, as they are one test.
        """
        if self.tests:
            for title, test in zip(titles_of(self.tests), self.tests, strict=True):
                yield title, self.corpora, test
            return
        whole, *beside = self.corpora
        for fold in np.array_split(self._tested_in_turn, self.folds):
            rest, out = (
                tuple(clip for clip in whole.labelled if (clip.speaker in fold) == inside)
                for inside in (False, True)
            )
            yield whole.info.title, [replace(whole, clips=rest), *beside], replace(whole, clips=out)


_Number = Annotated[int, Field(ge=0, lt=1 << 31)]


class PartSettings(LabelSettings):
    """What determines what one starter reaches, beside the clips."""

    front_end: str
    """What makes vectors of utterances."""
    normalisation: Normalisation
    """How devices normalise."""
    copies: _Number
    """Of each clip that teaches."""
    test: str
    """What is tested: a corpus by its title."""
    fold: _Number
    """Which group of its speakers; 0: all."""
    folds: _Number
    """Groups that they are divided into; 0: other corpora teach."""
    orders: _Number
    """In which each speaker corrects clips."""
    seed: Seed
    """Of copies, orders, and what is known of a speaker."""


def study(
    plan: Plan, out: Path, console: "Console", *, overwrite: bool = False
) -> list[dict[str, Any]]:
    """Make and test starters, but those that were tested before.

    Parameters
    ----------
    plan
        Which.
    out
        What each reaches is kept in a folder of its own below this one.
    console
        For progress.
    overwrite
        Whether to begin anew.

    Returns
    -------
    list of dict
        For each corpus that is tested on, in each seed: ``test``, ``seed``, ``known`` (the UAR by
        what is known), ``speakers`` (that of each with all known), and, if there were some,
        ``corrected`` (of each the UAR after so many corrections, shape ``(speakers,
        len(CORRECTIONS))``), ``uncorrected`` (that of the starter alone on the same clips),
        ``gain`` of the one over the other, and its standard error, ``noise`` (``None`` of a
        single order).

    Raises
    ------
    ChorusError
        If a corpus cannot teach or test; before the first starter is made, where that is known. If
        what is kept is of others; what was made before is kept.
    """
    plan = plan.of_usable(console)
    plan.check()
    parts = [
        (seed, number, *part) for seed in plan.seeds for number, part in enumerate(plan.parts(), 1)
    ]
    steps = [_step(plan, out, *part) for part in parts]
    heard: dict[tuple[int, str], list[dict[str, Any]]] = {}
    results = execute_steps(steps, console, overwrite=overwrite)
    for (seed, _, name, *_), result in zip(parts, results, strict=True):
        heard.setdefault((seed, name), []).append(result)
    return [_summary(name, seed, own) for (seed, name), own in heard.items()]


def _step(
    plan: Plan,
    out: Path,
    seed: int,
    number: int,
    name: str,
    corpora: Sequence[Corpus],
    test: Corpus,
) -> Step:
    """Plan what the starter of one part of a plan reaches, in one seed."""
    shape = plan.task.front_end
    settings = PartSettings(
        labels=plan.task.names,
        front_end=shape.name,
        normalisation=plan.how,
        copies=plan.copies,
        test=name,
        fold=0 if plan.tests else number,
        folds=0 if plan.tests else plan.folds,
        orders=plan.orders,
        seed=seed,
    )

    def clips() -> str:
        labels = [clip.label for corpus in (*corpora, test) for clip in corpus.clips]
        return digest_of_speech([*corpora, test], f"{shape!r}{shape.weights} {labels}")

    def make() -> dict[str, Any]:
        made = make_starter(
            corpora,
            plan.task,
            plan.how,
            vary_in_conditions(plan.copies, seed),
            # Personal models set out from how sure a starter may be.
            measured=plan.orders > 0,
            progress=False,
        )
        return _reached(made, test, seed, plan.orders)

    folder = RunFolder(out / f"seed-{seed}-{'test' if plan.tests else 'fold'}-{number}")
    title = f"seed {seed}  {name}  {len(test.speakers)} speakers"
    return Step(title, folder, settings, clips, make)


def _reached(made: Starter, corpus: Corpus, seed: int, orders: int) -> dict[str, Any]:
    """Test a starter on the speakers of a corpus, each with a device of their own.

    Returns
    -------
    dict
        ``uar`` with all known; ``known``: by what is known, the confusion of each speaker;
        ``corrected``, of each speaker who has enough clips, as :func:`study` gives it; and
        what belongs to that.
    """
    task = made.architecture.task
    front_end = front_end_of(task.front_end)
    features = extract_features(corpus.labelled, front_end, progress=False)
    raw = Examples(features.features, features.frames, features.labels(task))
    if not len(raw):
        raise CorpusError(f"{corpus.info.title} has no clip to test on.")
    people = np.array([clip.speaker for clip in features.clips])
    utterances = Utterances(raw, people, ())
    kernel, bias = split(made.weights, made.architecture).values()
    known: dict[str, dict[str, Any]] = {}
    for name in _KNOWN:
        some = list(devices(name, utterances, np.arange(len(raw)), seed))
        where, owners, tested = joined(some)
        normal = normalised_by_owner(
            raw.take(where), owners.astype(np.str_), front_end, begun=made.begun, recognised=True
        )
        answers = predicted(normal.features[tested, 0] @ kernel + bias)
        labels, speakers = raw.labels[where][tested], people[where][tested]
        known[name] = {
            str(speaker): confusion(
                labels[speakers == speaker], answers[speakers == speaker], len(task.labels)
            ).tolist()
            for speaker in np.unique(speakers)
        }
    corrected = []
    engine = TfliteEngine(made.architecture, threads=1) if orders else None
    for speaker in np.unique(people):
        clips = raw.take(np.flatnonzero(people == speaker))
        if engine and len(clips) > max(CORRECTIONS):
            seeds = partial(stream, seed, "personalisation", f"{corpus.info.name} {speaker}")
            outcome = study_user(
                engine,
                made.weights,
                clips,
                seeds,
                orders,
                begun=made.begun,
                calibration=made.calibration,
            )
            corrected.append(outcome)
    return {"uar": _uar(known["all"].values()), "known": known, **_corrected(corrected)}


def _corrected(speakers: Sequence[Mapping[str, Counts]]) -> dict[str, Any]:
    """Score what each speaker's corrections gave."""
    if not speakers:
        return {"corrected": None}
    counts = {method: np.stack([own[method] for own in speakers]) for method in (GLOBAL, PERSONAL)}
    return {
        "corrected": user_uars(counts[PERSONAL]).tolist(),
        "uncorrected": user_uars(counts[GLOBAL]).tolist(),
        "gain": gains(counts, PERSONAL).tolist(),
        "noise": noise(counts, PERSONAL).tolist() if counts[PERSONAL].shape[1] > 1 else None,
    }


def _summary(title: str, seed: int, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put the folds of a seed together, so that each utterance counts once."""
    known = {
        name: _uar(c for part in parts for c in part["known"][name].values()) for name in _KNOWN
    }
    everyone = [speaker for part in parts for speaker in part["known"]["all"].items()]
    found: dict[str, Any] = {
        "test": title,
        "seed": seed,
        "known": known,
        "speakers": {name: _uar([counts]) for name, counts in everyone},
    }
    corrected = [part for part in parts if part["corrected"]]
    if not corrected:
        return found | {"corrected": None}
    for name in ("corrected", "uncorrected", "gain", "noise"):
        each = [part[name] for part in corrected]
        found[name] = list(chain.from_iterable(each)) if all(each) else None
    return found


def _uar(counts: Iterable[ArrayLike]) -> float:
    """Score confusions together; labels that were not said do not count."""
    matrix = np.sum([np.asarray(own) for own in counts], axis=0)
    names = [str(place) for place in range(len(matrix))]
    return Scores.from_confusion(matrix, names).uar


def rows_of_starters(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Lay out a table: a row a corpus that is tested on; the first row is the header."""
    last = CORRECTIONS[-1]
    rows = [
        [
            "test",
            *_KNOWN.values(),
            "worst speaker, all known",
            "mean speaker as a device hears them",
            "worst",
            f"mean after {last} corrections",
            "worst",
            *(f"gain of {count}" for count in CORRECTIONS[1:]),
            "lowest gain",
            "worse than noise",
        ]
    ]
    for title in dict.fromkeys(one["test"] for one in found):
        own = [one for one in found if one["test"] == title]
        cells = [_cell([one["known"][known] for one in own]) for known in _KNOWN]
        cells.append(_cell([min(one["speakers"].values()) for one in own]))
        for place in (0, -1):
            uars = [np.array(one["corrected"])[:, place] for one in own if one["corrected"]]
            cells.append(_cell([float(each.mean()) for each in uars]))
            cells.append(_cell([float(each.min()) for each in uars]))
        rows.append([title, *cells, *_gains([one for one in own if one["corrected"]])])
    return rows


def _gains(own: Sequence[dict[str, Any]]) -> list[str]:
    """Write what corrections gave over the starter alone, after each number of them."""
    if not own:
        return ["-"] * (len(CORRECTIONS) + 1)
    gain = np.array([one["gain"] for one in own])[..., 1:]
    means = [_cell(list(per_seed)) for per_seed in gain.mean(axis=1).T]
    told = "-"
    if all(one["noise"] for one in own):
        worse = gain < -2 * np.array([one["noise"] for one in own])[..., 1:]
        told = f"{worse.sum()} of {worse.size}"
    return [*means, f"{gain.min():+.3f}", told]


def _cell(values: Sequence[float]) -> str:
    """Write mean ± standard deviation over seeds."""
    if not values:
        return "-"
    return spread(fmean(values), deviation(values))

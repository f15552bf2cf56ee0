"""What pretraining is worth: a network fine-tuned, frozen or from scratch, beside our encoder.

All are tested on the same folds. A fold's network is pretrained by the clips of the fold's other
speakers, whatever their labels, and by other corpora: nobody of the test is heard before it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_client.learning.softmax_regression import fit_softmax
from edge_client.simulation.data import split
from edge_client.simulation.presets import preset_for
from edge_client.simulation.settings import DataSettings, SimulationSettings
from edge_client.simulation.studies.baselines import Answer, tested
from edge_client.simulation.studies.distillation import Speech, distil, encoded
from edge_client.simulation.studies.experiments import BASELINE, Cell, Collect, settings_of_cell
from edge_client.simulation.studies.folds import PlannedFold, execute_folds, planned_folds
from edge_client.simulation.studies.pretrained_file import check_unheard, keep_pretrained
from edge_client.simulation.studies.pretraining import Course
from edge_client.simulation.study import Corpora, Planned, execute
from edge_client.simulation.summary import summarise
from edge_client.simulation.utterances import Utterances
from shared.architectures import Architecture, architecture_of
from shared.corpora import Corpus, load_speech
from shared.corpora.overlap import check_apart
from shared.encoders.network import Network
from shared.errors import SettingsError
from shared.front_ends import WHISPER, front_end_named
from shared.metrics import predicted
from shared.model_notes.model_card import check_names
from shared.training import Examples
from shared.weights import load_weights

if TYPE_CHECKING:
    from rich.console import Console

    from shared.command.progress import Tracker

MODEL: Final = "tdnn13"
"""The network."""

_FRONT_END: Final = "mfcc40"
"""What it hears through."""


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes
    ----------
    settings
        Of the network trained from scratch.
    out
        Folder of the experiment.
    folds
        Those that are tested.
    speech
        Corpora that pretrain beside the speakers of each fold.
    given
        Weights that were pretrained elsewhere, for all folds; ``None``: pretrain.
    course
        How long and how fast is pretrained.
    """

    settings: SimulationSettings
    out: Path
    folds: Sequence[int]
    speech: Sequence[Corpus]
    given: Path | None
    course: Course

    def pretrained(self, fold: int) -> Path:
        """Name the file that a fold begins with."""
        return self.given or self.out / "pretrained" / f"fold-{fold}.safetensors"

    def vectors(self) -> list[tuple[PlannedFold[DataSettings], ...]]:
        """Plan the folds of our encoder, and of the network frozen up to layer 12."""
        own = {name: getattr(self.settings, name) for name in DataSettings.model_fields}
        plans = []
        for name in ("encoder", "frozen"):
            plan = planned_folds(DataSettings.parse(own), self.out / f"{name}-{BASELINE}")
            tested = [fold for fold in plan if fold.settings.fold in self.folds]
            plans.append(tuple(self._heard(fold, name) for fold in tested))
        return plans

    def _heard(self, fold: PlannedFold[DataSettings], name: str) -> PlannedFold[DataSettings]:
        """Let a fold hear through our encoder, or through its pretrained network."""
        own = fold.settings
        heard = WHISPER.name if name == "encoder" else str(self.pretrained(own.fold))
        return replace(fold, settings=DataSettings.parse({**own.model_dump(), "front_end": heard}))

    def trainings(self) -> list[Cell]:
        """Plan the folds of the network fine-tuned, and from scratch."""
        cells = []
        for name in ("fine-tuned", "scratch"):
            plan = []
            for fold in self.folds:
                initial = self.pretrained(fold) if name == "fine-tuned" else None
                changed = self.settings.model_copy(update={"fold": fold, "initial": initial})
                folder = self.out / f"{name}-{BASELINE}" / f"fold-{fold}"
                plan.append(Planned(folder, changed, f"{name} fold {fold}"))
            cells.append(Cell(name, BASELINE, tuple(plan)))
        return cells


def settings_of_study(collect: Collect, preset: str) -> SimulationSettings:
    """Complete the settings of the network: in one place, on speakers nobody has heard.

    Raises
    ------
    SettingsError
        If one contradicts the experiment.
    """
    fixed = {
        "model": MODEL,
        "front_end": _FRONT_END,
        "baseline": True,
        "protocol": "speakers",
        "test_corpus": None,
        "validation": False,
        "initial": None,
    }
    return settings_of_cell(collect, preset_for(preset, BASELINE), fixed)


def folds_of(settings: SimulationSettings, only: Sequence[int]) -> Sequence[int]:
    """Give the folds to test: some, or all; raises :class:`SettingsError` if one is not there."""
    for fold in only:
        if fold > settings.folds:
            raise SettingsError(f"Fold {fold} does not exist, there are {settings.folds}.")
    return tuple(dict.fromkeys(only)) or tuple(range(1, settings.folds + 1))


def execute_study(study: Study, console: "Console", *, overwrite: bool) -> list[dict[str, Any]]:
    """Pretrain and test what is not finished yet.

    Returns
    -------
    list of dict
        For ``encoder``, ``frozen``, ``fine-tuned`` and ``scratch`` what
        :meth:`edge_client.simulation.studies.experiments.Cell.summary` gives.

    Raises
    ------
    ChorusError
        If something cannot be made; what was made before is kept.
    """
    architecture = architecture_of(MODEL, study.settings.task)
    if study.given:
        _check_given(study, architecture)
    else:
        _pretrain(study, architecture, Corpora(console).get(study.settings), overwrite=overwrite)
    summaries = []
    for name, folds in zip(("encoder", "frozen"), study.vectors(), strict=True):
        made = execute_folds(folds, _frozen, console, overwrite=overwrite)
        summaries.append({"model": name, "column": BASELINE, **summarise(made)})
    cells = study.trainings()
    plan = [planned for cell in cells for planned in cell.plan]
    results = execute(plan, console, resume=not overwrite, overwrite=overwrite)
    for cell in cells:
        own, results = results[: len(cell.plan)], results[len(cell.plan) :]
        summaries.append(cell.summary(own))
    return summaries


def _check_given(study: Study, architecture: Architecture) -> None:
    """Refuse weights of another network, and such as may have heard who is tested."""
    path = study.pretrained(0)
    load_weights(path, architecture)
    check_unheard(
        path,
        [study.settings.corpus],
        "Leave --pretrained out, and each fold is pretrained without its test's speakers.",
    )


def _pretrain(
    study: Study, architecture: Architecture, utterances: Utterances, *, overwrite: bool
) -> None:
    """Pretrain for each fold where that is not done; nobody of its test is heard."""
    check_names(1 + len(study.speech))
    settings, speech = study.settings, list[Speech]()
    whole = load_speech(settings.corpus, settings.data, settings.task)
    check_apart([whole, *study.speech])
    lesson = f"distilled from {WHISPER.name} {study.course}"
    for fold in study.folds:
        own = settings.model_copy(update={"fold": fold})
        tested_on = set(utterances.speakers[split(utterances, own).test])
        _check_other_people(study, tested_on, fold)
        rest = [one for one in whole.speakers if f"{settings.corpus} {one}" not in tested_on]
        clips = tuple(clip for clip in whole.clips if clip.speaker in rest)

        def teach(bar: "Tracker", rest: Collection[str] = rest) -> tuple[Network, list[Corpus]]:
            if not speech:
                encoder = front_end_named(WHISPER.name)
                speech.extend(encoded([whole, *study.speech], architecture, encoder, bar))
            heard = [speech[0].of(rest), *speech[1:]]
            network = distil(heard, architecture, study.course, bar)
            return network, [own.corpus for own in heard]

        keep_pretrained(
            study.pretrained(fold),
            architecture,
            [replace(whole, clips=clips), *study.speech],
            lesson,
            teach,
            overwrite=overwrite,
        )


def _check_other_people(study: Study, tested_on: Collection[str], fold: int) -> None:
    """Refuse speech of who is tested."""
    for own in study.speech:
        if any(f"{own.name} {speaker}" in tested_on for speaker in own.speakers):
            raise SettingsError(
                f"Some speakers of {own.info.title} are tested in fold {fold}: they teach nothing.",
                "Give --speech of other people; the corpus' own other speakers teach anyway.",
            )


def _frozen(utterances: Utterances, fold: PlannedFold[DataSettings]) -> dict[str, Any]:
    """Classify the vectors of a fold by softmax regression."""

    def fitted(train: Examples) -> Answer:
        classes = len(fold.settings.task.names)
        head = fit_softmax(train.features[:, 0], train.labels, classes)
        kernel, bias = head[:-classes].reshape(-1, classes), head[-classes:]
        return lambda some: predicted(some.features[:, 0] @ kernel + bias)

    result = tested(utterances, fold.settings, fitted)
    return {**summarise([result]), **result}

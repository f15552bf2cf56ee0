"""``edge-client starter``: a model to begin with, of the corpora that one has."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer
from pydantic import Field

from shared.environment import Prefix
from shared.errors import CorpusError, SettingsError
from shared.settings import options_of
from shared.task_settings import TaskSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_client.learning.starter import Starter
    from shared.corpora import Corpus
    from shared.task import Task


class StarterSettings(TaskSettings):
    """What a starter recognises."""

    environment: ClassVar[Prefix] = "CHORUS_EDGE_"
    panel: ClassVar[str] = "Task"

    front_end: str = "whisper-speech"
    """What makes one vector of an utterance."""
    normalisation: Literal["device", "voice"] = "voice"
    """How its devices will normalise: voice, which holds for a person in one mood all day too, or
    device, which is better for one who is heard in all moods evenly."""
    copies: Annotated[int, Field(ge=0, le=16)] = 2
    """Copies of each clip that teach too, in noise, rooms, telephones and at wrong levels."""


@options_of(StarterSettings)
def starter(
    *,
    given: dict[str, Any],
    corpus: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH", help="A corpus and its folder; give it as often as you like."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Where the model goes (safetensors).")],
    test: Annotated[
        list[str], typer.Option(metavar="NAME=PATH", help="A corpus to test it on; repeated.")
    ] = [],  # noqa: B006 -- typer copies it
) -> None:
    """Make a model that a device, or a federation, can begin with.

    Two files: the head, for `edge-client run --weights` and `aggregator serve --initial`; and
    beside it what a device's statistics begin with, ending in `.voice.safetensors` or, with
    `--normalisation device`, in `.prior.safetensors`: a device takes it with the head. The head's
    file says which corpora taught it, and what it reached with `--test`: `edge-client status` shows
    it.
    What corpora may be used for, and models made of them, their licences say.

    Example: edge-client starter --corpus emodb=PATH --output starter.safetensors
    """
    from edge_client.learning.starter import card_for, make_starter, reached_on
    from edge_client.simulation.degradations import vary_in_conditions
    from edge_client.simulation.studies.pretrained_file import check_front_end_unheard
    from shared.corpora import titles_of
    from shared.features.start_file import KINDS, save_model
    from shared.front_ends import file_named
    from shared.model_notes import ModelNotes
    from shared.model_notes.model_card import check_names
    from shared.starter import beside
    from shared.storage.files import check_place, refuse_replacing

    settings = StarterSettings.collect(given)
    written = [output, *(beside(output, kind) for kind in KINDS)]
    refuse_replacing(
        [file_named(settings.front_end), *(place_of(text) for text in corpus + test)], written
    )
    task = settings.task
    check_names(len(corpus))
    check_names(len(test))
    for path in written:
        check_place(path)
    corpora, tests = corpora_of(corpus, test, task)
    check_front_end_unheard(settings.front_end, [own.info.name for own in tests])
    made = make_starter(
        corpora, task, settings.normalisation, vary_in_conditions(settings.copies, seed=0)
    )
    titles = titles_of(tests)
    reached = {title: reached_on(made, own) for title, own in zip(titles, tests, strict=True)}
    notes = ModelNotes(made.calibration, card_for(made.taught_by, reached))
    begins = save_model(output, made.weights, made.architecture, notes, made.begun)
    _tell(made, reached)
    typer.echo(f"The starter is {output}, what its statistics begin with {begins}.")


def _tell(made: "Starter", reached: "Mapping[str, Mapping[str, tuple[float, float]]]") -> None:
    """Say what taught a starter, and what it reaches."""
    from edge_client.device.settings import UNSURE_BELOW

    for own in made.taught_by:
        typer.echo(
            f"{own.info.title}: {len(own.labelled)} clips of {len(own.speakers)} speakers; "
            f"licence: {own.info.licence}"
        )
    for title, by_known in reached.items():
        known = ", ".join(f"{uar:.3f} with {name}" for name, (uar, _) in by_known.items())
        typer.echo(f"{title}: UAR {known} of a speaker's moods known.")
        known = ", ".join(f"{error:.3f} with {name}" for name, (_, error) in by_known.items())
        typer.echo(f"{title}: calibration error {known}.")
    if measured := made.calibration.reliability:
        answers, wrong = measured.below(UNSURE_BELOW)
        typer.echo(
            f"Speakers left out in turn: calibration error {measured.error:.3f}; of {answers} "
            f"answers below {UNSURE_BELOW:.0%} {wrong} were wrong."
        )


def corpora_of(
    corpus: list[str], test: list[str], task: "Task"
) -> "tuple[list[Corpus], list[Corpus]]":
    """Load the corpora that teach, and those to test on, each named as NAME=PATH.

    Raises
    ------
    SettingsError
        If one is not named so, a speaker of a test teaches, too, or a recording is in two of them.
    CorpusError
        If one is not there.
    """
    from edge_client.learning.starter import speakers_of
    from shared.corpora.overlap import check_apart

    corpora = [corpus_at(text, task) for text in corpus]
    tests = [corpus_at(text, task) for text in test]
    for own in tests:
        if speakers_of([own]) & speakers_of(corpora):
            raise SettingsError(
                f"Some speakers of {own.info.title} have taught the starter: they test nothing.",
                "Test it on other people.",
            )
    check_apart(corpora, tests)
    return corpora, tests


def corpus_at(text: str, task: "Task", *, labelled: bool = True) -> "Corpus":
    """Load the corpus of NAME=PATH; unless ``labelled``, no clip needs a label of the task."""
    from shared.corpora import load_corpus, load_speech

    name, path = _place(text)
    try:
        return (load_corpus if labelled else load_speech)(name, path, task)
    except CorpusError as error:
        if path is None:  # where this command is told of places
            error.remedy = error.remedy.replace("--data PATH", f"{name}=PATH")
        raise


def place_of(text: str) -> Path | None:
    """Give the path of NAME=PATH, if there is one."""
    return _place(text)[1]


def _place(text: str) -> tuple[str, Path | None]:
    """Take NAME=PATH apart; a corpus that is made on the spot has no path."""
    name, equals, path = text.partition("=")
    if (equals and not path) or "/" in name:
        raise SettingsError(f"{text} names no corpus and its folder.", "Give --corpus NAME=PATH.")
    return name, Path(path) if path else None

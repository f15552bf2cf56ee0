"""``edge-client pretrain``: what a network learns of speech before it learns emotions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from pydantic import Field

from shared.environment import Prefix
from shared.settings import options_of
from shared.task_settings import TaskSettings
from shared.training import Positive, Seed

if TYPE_CHECKING:
    from edge_client.simulation.studies.pretraining import Course
    from shared.architectures import Architecture
    from shared.corpora import Corpus
    from shared.encoders.network import Network
    from shared.model_notes.model_card import ModelCard

pretrain = typer.Typer(
    help="Make weights to begin with, of speech that nobody has labelled with emotions.",
    no_args_is_help=True,
)


class PretrainSettings(TaskSettings):
    """Which network learns, and how long."""

    environment: ClassVar[Prefix] = "CHORUS_EDGE_"
    panel: ClassVar[str] = "Network and training"

    front_end: str = "mfcc40"
    """What the network hears through."""
    model: str = "tdnn13"
    """The network: convolutions, pooling over time and one embedding (tdnn13, tdnn)."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Passes over the clips; in distillation each is heard three times in one, at three speeds."""
    batch_size: Annotated[int, Field(ge=2, le=1024)] = 16
    """Clips a step."""
    learning_rate: Positive = 2e-3
    """Adam's, at its highest."""
    seed: Seed = 0
    """Of fresh weights and the order of clips."""

    @property
    def course(self) -> "Course":
        """How long and how fast is learnt."""
        from edge_client.simulation.studies.pretraining import Course

        return Course(self.epochs, self.batch_size, self.learning_rate, self.seed)


@pretrain.command()
@options_of(PretrainSettings)
def distil(
    *,
    given: dict[str, Any],
    corpus: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="Speech, and its folder; repeated. All clips teach, whatever their labels.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the weights go (safetensors).")],
    encoder: Annotated[
        str, typer.Option(help="What is imitated: a front end that gives one vector an utterance.")
    ] = "whisper-speech",
) -> None:
    """Let a network learn to tell what a speech encoder makes of an utterance.

    The file is a small encoder: `--front-end FILE --model head` hears through it. Or it is what to
    begin with, by `--initial`: its layers know speech, its logits nothing yet. It says which
    corpora taught it. What corpora may be used for, and models made of them, their licences say.

    Example: edge-client pretrain distil --corpus emodb=PATH --out distilled.safetensors
    """
    from edge_client.simulation.studies.distillation import distil as distilled
    from edge_client.simulation.studies.distillation import encoded
    from edge_client.simulation.studies.pretraining import card_of_lesson
    from shared.command.progress import tracker
    from shared.front_ends import front_end_named

    settings, architecture, corpora = _asked(given, corpus, out, encoder)
    with tracker(shown=True) as bar:
        speech = encoded(corpora, architecture, front_end_named(encoder), bar)
        network = distilled(speech, architecture, settings.course, bar)
    lesson = f"distilled from {encoder} {settings.course}"
    _write(out, network, card_of_lesson([own.corpus for own in speech], lesson))


@pretrain.command()
@options_of(PretrainSettings)
def ctc(
    *,
    given: dict[str, Any],
    corpus: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="Speech with transcripts, and its folder; repeated. Labels do not matter.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the weights go (safetensors).")],
) -> None:
    """Let a network learn to write down what is said (connectionist temporal classification).

    Transcripts are those of the corpus, or a manifest's column `text`. The embedding and the logits
    learn nothing by it. The file is for `--front-end` or `--initial`, as that of `distil`.

    Example: edge-client pretrain ctc --corpus nemo=PATH --out recogniser.safetensors
    """
    from edge_client.simulation.studies.pretraining import card_of_lesson
    from edge_client.simulation.studies.transcription import transcribe
    from shared.command.progress import tracker

    settings, architecture, corpora = _asked(given, corpus, out)
    with tracker(shown=True) as bar:
        network, taught_by = transcribe(corpora, architecture, settings.course, bar)
    lesson = f"speech recognition (CTC) {settings.course}"
    _write(out, network, card_of_lesson(taught_by, lesson))


@pretrain.command()
@options_of(PretrainSettings)
def speakers(
    *,
    given: dict[str, Any],
    corpus: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="Speech of several people, and its folder; repeated. Labels do not matter.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the weights go (safetensors).")],
) -> None:
    """Let a network learn to tell who speaks.

    Its embedding can be used for people whom it has never heard. The file is for `--front-end` or
    `--initial`, as that of `distil`.

    Example: edge-client pretrain speakers --corpus emodb=PATH --out speakers.safetensors
    """
    from edge_client.simulation.studies.pretraining import card_of_lesson
    from edge_client.simulation.studies.telling_speakers import lesson_of, tell_speakers
    from shared.command.progress import tracker

    settings, architecture, corpora = _asked(given, corpus, out)
    with tracker(shown=True) as bar:
        network, taught_by = tell_speakers(corpora, architecture, settings.course, bar)
    _write(out, network, card_of_lesson(taught_by, lesson_of(settings.course)))


def _asked(
    given: dict[str, Any], corpus: list[str], out: Path, encoder: str = ""
) -> "tuple[PretrainSettings, Architecture, list[Corpus]]":
    """Find network and corpora; what is wrong with these or the file is said before it teaches."""
    from edge_client.commands.starter import corpus_at, place_of
    from shared.architectures import architecture_of
    from shared.corpora.overlap import check_apart
    from shared.front_ends import check_file_name, file_named
    from shared.model_notes.model_card import check_names
    from shared.storage.files import check_place, refuse_replacing

    check_names(len(corpus))
    settings = PretrainSettings.collect(given)
    check_file_name(out, "--out")
    heard = [file_named(name) for name in (settings.front_end, encoder)]
    refuse_replacing([*heard, *(place_of(text) for text in corpus)], [out])
    architecture = architecture_of(settings.model, settings.task)
    check_place(out, 4 * architecture.parameters)  # float32
    corpora = [corpus_at(text, settings.task, labelled=False) for text in corpus]
    check_apart(corpora)
    return settings, architecture, corpora


def _write(out: Path, network: "Network", card: "ModelCard") -> None:
    """Write the network with its card, and say what there is now."""
    from shared.model_notes import ModelNotes
    from shared.task import options_for

    network.write(out, ModelNotes(card=card))
    for each in card.taught_by:
        typer.echo(f"{each}; licence: {each.licence}")
    model, task = network.architecture.name, options_for(network.architecture.task)
    typer.echo(f"The network is {out}. Hear through it by --front-end {out} --model head,")
    typer.echo(f"or begin with it by --model {model} {task} --initial {out}.")

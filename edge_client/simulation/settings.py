"""The settings of a simulated federation: one field an option of ``edge-client simulate``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.environment import Prefix
from shared.round_settings import (
    MOST_CLIENTS,
    MOST_ROUNDS,
    STRATEGY_OPTIONS,
    FederatedSettings,
    SecureSettings,
    Share,
)
from shared.settings import Settings
from shared.task_settings import TaskSettings
from shared.training import Positive, Seed

_MOST_FOLDS: Final = 1000
"""More speakers than a corpus has."""

_MOST_SPEAKERS: Final = 1_000_000

KNOWN: Final = ("all", "two", "one", "none")
"""What a device may know of its user when it is tested, side by side in all tables."""

MOSTLY: Final = "mostly"
"""Another: its user is mostly in one mood. And so is a number of utterances, in any moods."""

_COUNT: Final = re.compile(r"[1-9][0-9]{0,3}")


class CorpusSettings(Settings):
    """Which speech, and how its features are normalised."""

    panel: ClassVar[str] = "Corpus and features"

    corpus: str = "synthetic"
    """Name of the corpus; `edge-client corpora` lists them. One of your own is package.module:Name.
    The built-in synthetic corpus needs no data, but is not speech."""
    data: Path | None = None
    """Where the corpus lies."""
    happy: Literal["happiness", "excited", "both"] = "both"
    """What counts as happy in IEMOCAP; the paper's 494 test utterances fit excited alone."""
    test_corpus: str | None = None
    """Test on all of another corpus, and train on all of the first."""
    test_data: Path | None = None
    """Where that corpus lies."""
    normalisation: Literal["none", "corpus", "device", "voice"] = "device"
    """none (the paper), corpus (statistics of the training set), device (each speaker's own
    statistics, as a device keeps them for its user; no data leaves it), or voice (the same, but the
    voice is told from the mood, for front ends that give one vector an utterance). device fails
    for a person who is in one mood all day, as the mood is taken away with the voice: conv has a
    UAR of 0.56 then, 0.76 for all moods (RAVDESS, actors 1 to 6). --known shows it."""
    augment_waveforms: Annotated[int, Field(ge=0, le=20)] = 0
    """Train on so many copies of each training clip, too, each in another pitch, tempo, room and
    noise. They count in no statistics."""
    augment_conditions: Annotated[int, Field(ge=0, le=20)] = 0
    """Train on so many copies of each training clip, too, as devices in other places would hear
    them: in hiss or hum of some level, a room, over a telephone, or too soft or loud. Each place
    has statistics of its own."""


class ProtocolSettings(Settings):
    """How utterances are divided into training, validation and test."""

    panel: ClassVar[str] = "Evaluation"

    protocol: Literal["speakers", "paper"] = "speakers"
    """speakers (no speaker in both training and test), or paper (a random tenth is the test)."""
    folds: Annotated[int, Field(ge=2, le=_MOST_FOLDS)] = 6
    """Into how many groups the speakers are divided."""
    fold: Annotated[int, Field(ge=1, le=_MOST_FOLDS)] = 1
    """Which group of speakers is the test."""
    validation: bool = True
    """Keep a validation split (the next group of speakers; in the paper's protocol a random tenth
    of the training set). Without it everything but the test is trained on."""
    training_speakers: Annotated[int, Field(ge=1, le=_MOST_SPEAKERS)] | None = None
    """Train on so many speakers only, drawn by seed and fold: more are the fewer, and some others.
    The rest is left out. For the protocol speakers, without another corpus to test on."""
    choose: Literal["best", "last"] = "best"
    """Which round's model is the result: the best on the validation split, or the last."""
    known: str = "all"
    """Of which of a test speaker's utterances the device has statistics, for the scores: all; those
    of two labels, or of one, tested on these alone (all choices counted together); none but the one
    that is recognised; mostly those of one label, and of each other an eighth as many; or a number
    of others in any moods. The table shows all, two, one and none in any case. Matters to
    --normalisation device and voice."""


class SeedSettings(Settings):
    """What all randomness follows from."""

    panel: ClassVar[str] = "Randomness"

    seed: Seed = 0
    """Seed of everything random: partition, fresh weights, shuffling, dropout, client sampling."""


class DataSettings(ProtocolSettings, CorpusSettings, TaskSettings, SeedSettings):
    """What is to be recognised in which utterances, and what these are for."""

    environment: ClassVar[Prefix] = "CHORUS_EDGE_"
    panel: ClassVar[str] = "Utterances"

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        if self.known not in (*KNOWN, MOSTLY) and not _COUNT.fullmatch(self.known):
            allowed = ", ".join((*KNOWN, MOSTLY))
            raise ValueError(
                f"known should be {allowed} or a number of utterances from 1 to 9999, "
                f"is {self.known!r}"
            )
        front_end = self.task.front_end
        if self.normalisation == "voice" and front_end.frames != 1:
            raise ValueError(
                f"normalisation voice needs one vector an utterance; {front_end.name} gives up to "
                f"{front_end.frames} frames. Take device, or a front end that pools over time"
            )
        if self.fold > self.folds:
            raise ValueError(f"fold {self.fold} does not exist, there are {self.folds}")
        if self.test_data and not self.test_corpus:
            raise ValueError("test_data says where the test_corpus lies, but none is given")
        if self.training_speakers and not self.has_folds:
            raise ValueError("training_speakers are those outside a fold, and there are no folds")
        if self.test_corpus == self.corpus and _place(self.test_data) == _place(self.data):
            raise ValueError(f"test_corpus is the {self.corpus} that is trained on")
        return self

    @property
    def has_folds(self) -> bool:
        """Whether each ``fold`` tests on other speakers."""
        return self.protocol == "speakers" and self.test_corpus is None


class FusionSettings(DataSettings):
    """What determines the result of one fold of ``edge-client experiment fusion``."""

    panel: ClassVar[str] = "Fusion"

    known: Literal["all"] = "all"
    """all: each speaker's statistics are of all their utterances. Nothing else is tested here."""
    model: str | None = None
    """Whose embedding speech has: dense, conv, lstm, tdnn or one of your own. If not given, conv,
    or for a front end that gives one vector an utterance a dense layer."""
    sentences: str = "words"
    """What makes vectors of sentences: words (counted; needs no weights), a folder with model.onnx
    and tokenizer.json, such as all-MiniLM-L6-v2's, or OWNER/NAME on the Hugging Face hub."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Passes of each branch over the training set; fusion takes about as many steps."""


class ModelSettings(Settings):
    """Which model, and what trains it."""

    panel: ClassVar[str] = "Model"

    model: str = "conv"
    """The architecture: dense, conv, lstm, tdnn, tdnn13, mlp or head; one that a package
    offers; or package.module:name, which is a tuple of layers, or a function (frames, features,
    labels) that builds a Keras model. See docs/models.md."""
    engine: Literal["keras", "tflite"] = "keras"
    """What trains: Keras, or the code that runs on devices."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Clients trained at a time, each on one core; the cores, at most 4, if not given."""
    initial: Path | None = None
    """Weights to start from (safetensors), instead of fresh ones."""


class PartitionSettings(Settings):
    """How the training examples are divided over clients."""

    panel: ClassVar[str] = "Clients"

    partition: str = "random"
    """How the training examples are divided over the clients: random, single-emotion, speaker,
    dirichlet, quantity, a CSV file with the columns clip and client, or one of your own: its name,
    or package.module:function."""
    clients: Annotated[int, Field(ge=1, le=MOST_CLIENTS)] | None = None
    """Number of clients; if not given, one a speaker in the partition speaker, those of a file, or
    4."""
    examples_per_client: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Draw at most this many examples for each client; with the partitions random, as in the paper,
    and dirichlet they may overlap, and clients be more than there are examples."""
    alpha: Positive = 0.5
    """Concentration of the partitions dirichlet and quantity: the smaller, the more skewed."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the clients that take part in a round."""
    clients_per_round: Annotated[int, Field(ge=1, le=MOST_CLIENTS)] | None = None
    """Number of clients that take part in a round, instead of a fraction."""
    client_dropout: Share = 0.0
    """Probability that a client of a round fails to send its update."""


class SimulatedRoundSettings(Settings):
    """What only simulated rounds have."""

    panel: ClassVar[str] = "Rounds and strategy"

    codec: str = "float32"
    """How clients encode their updates: float32, float16, int8, sign, top10-sign, top5-int8, or one
    of your own: its name, or package.module:Name. What a codec leaves out goes into the client's
    next update."""
    baseline: bool = False
    """Train one model on all training data instead, without federation; a round is then an
    epoch."""


class AttackSettings(Settings):
    """Clients that are not honest, to see what a strategy stands."""

    panel: ClassVar[str] = "Attack"

    attack: Literal["none", "sign-flip", "scale", "label-flip"] = "none"
    """What the first clients do: sign-flip (send the opposite of what they learned), label-flip
    (learn from wrong labels), or scale (that, sent 50 times over, claiming 10,000 examples)."""
    attackers: Annotated[int, Field(ge=1, le=MOST_CLIENTS)] = 1
    """How many of the clients attack, if they do."""


class SimulationSettings(
    FederatedSettings,
    SecureSettings,
    AttackSettings,
    SimulatedRoundSettings,
    PartitionSettings,
    ModelSettings,
    DataSettings,
):
    """Everything that determines a run: the same settings give the same weights."""

    rounds: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] = 20
    """Number of rounds."""

    @classmethod
    def collect(
        cls, given: Mapping[str, Any], config: Path | None = None, preset: Mapping[str, Any] = {}
    ) -> Self:
        """Gather the values as :meth:`shared.settings.Settings.collect` does.

        What a preset says beside what was given must not contradict it: its strategy's options
        mean nothing to another strategy, its learning rate nothing to another optimizer, and there
        are either epochs or steps.
        """
        values = cls.gather(given, config)
        dropped: set[str] = set()
        if values.get("strategy", preset.get("strategy")) != preset.get("strategy"):
            dropped.update(STRATEGY_OPTIONS)
        own = preset.get("optimizer", cls.model_fields["optimizer"].default)
        if values.get("optimizer", own) != own:
            dropped.add("learning_rate")
        if "epochs" in values or "steps" in values:
            dropped.update(("epochs", "steps"))
        kept = {name: value for name, value in preset.items() if name not in dropped}
        return cls.parse({**kept, **values})

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        from shared.architectures import MODELS, KerasModel, architecture_of
        from shared.codecs import make_codec

        make_codec(self.codec)
        if self.secure and self.codec != SimulatedRoundSettings.model_fields["codec"].default:
            raise ValueError(f"secure rounds have a codec of their own: leave out {self.codec}")
        if self.secure and self.attack in ("sign-flip", "scale"):
            raise ValueError(f"the attack {self.attack} changes single updates: not with secure")
        if self.dp_epsilon and self.baseline:
            raise ValueError("noise is added to a sum of updates: not with baseline")
        model = MODELS.get(self.model)
        if self.engine != "keras" or not isinstance(model, KerasModel):
            architecture_of(self.model, self.task)
        return self


def _place(path: Path | None) -> Path | None:
    return path and path.resolve()

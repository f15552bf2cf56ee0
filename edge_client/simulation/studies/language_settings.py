"""The settings of experiments across languages: one field an option of the command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, Field

from edge_client.simulation.settings import (
    DataSettings,
    ModelSettings,
    SeedSettings,
    SimulationSettings,
)
from shared.environment import Prefix
from shared.round_settings import MOST_ROUNDS
from shared.settings import Settings, Several, separated
from shared.task_settings import LabelSettings, TaskSettings
from shared.training import Positive, TrainingSettings

NOTHING: Final = "nothing"
"""What names of results have in the place of the languages that taught, where there were none."""

_Shots = Annotated[int, Field(ge=0, le=1_000_000)]
"""Clips of a label."""


class LanguageSettings(Settings):
    """Which speech, how it is normalised, and who is tested."""

    panel: ClassVar[str] = "Languages"

    corpus: Several = ()
    """A language, its corpus and its folder, as en=ravdess:PATH: repeated, or separated by
    commas."""
    normalisation: Literal["none", "corpus", "device", "voice"] = "device"
    """none, corpus (statistics of those that teach), device (each speaker's own statistics), or
    voice (the same, but the voice is told from the mood)."""
    known: str = "all"
    """What a device knows of its user in the scores of the tables: all, two, one, none, or a number
    of clips. result.json has all, two, one and none in any case."""
    folds: Annotated[int, Field(ge=2, le=1000)] = 3
    """Groups of each language's speakers: one is tested, by what the others teach."""


class TransferSettings(
    LanguageSettings, ModelSettings, TrainingSettings, TaskSettings, SeedSettings
):
    """What determines the transfer between languages."""

    environment: ClassVar[Prefix] = "CHORUS_EDGE_"
    panel: ClassVar[str] = "Transfer"

    front_end: str = "whisper-speech"
    """What computes the features: whisper-speech (a vector of a speech encoder), mfcc40, paper34,
    or one of your own."""
    model: str = "head"
    """The architecture: head or mlp for an encoder's vectors; dense, conv, lstm or tdnn for frames;
    or one of your own."""
    pretraining_epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Passes over all clips of the languages that are not tested, of which a tdnn13 learns to tell
    what the encoder makes of them; frozen, it then takes the encoder's place. 0: the encoder is
    heard through itself."""
    shots: Annotated[tuple[_Shots, ...], BeforeValidator(separated)] = (0, 4, 16, 64)
    """How many clips of each label of the scarce language a model is fine-tuned on: repeated, or
    separated by commas."""
    tuning_epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Passes over these clips."""
    tuning_rate: Positive = 3e-4
    """Learning rate of fine-tuning."""
    strategy: str = "fedavg"
    """Of the federation in which each language is a client."""
    rounds: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] = 60
    """Of that federation."""
    local_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    """Steps of a client in each of them."""

    @classmethod
    def collect(
        cls, given: Mapping[str, Any], config: Path | None = None, preset: Mapping[str, Any] = {}
    ) -> Self:
        """Gather the values as :meth:`shared.settings.Settings.collect` does: 25 epochs if none."""
        values = cls.gather(given, config)
        passes = {} if values.get("steps") else {"epochs": 25}
        return cls.parse({**passes, **preset, **values})

    def simulation(self) -> SimulationSettings:
        """Give the same as settings of a run without federation.

        Raises
        ------
        SettingsError
            If they do not fit.
        """
        names = SimulationSettings.model_fields.keys() & TransferSettings.model_fields.keys()
        values = {name: getattr(self, name) for name in names - {"corpus"}}
        return SimulationSettings.parse({**values, "baseline": True, "validation": False})

    def federation(self) -> SimulationSettings:
        """Give the settings of the federation: its clients are honest, and all examples count."""
        changed = {"baseline": False, "epochs": None, "steps": self.local_steps}
        bounds = {"bound_norm": 0.0, "bound_weight": 0.0}
        return self.simulation().model_copy(update={**changed, **bounds})

    def tuning(self, *, head_only: bool) -> TrainingSettings:
        """Give how a model is fine-tuned: all of it, or its head alone."""
        passes = {"epochs": self.tuning_epochs, "steps": None, "learning_rate": self.tuning_rate}
        own = self.part(TrainingSettings)
        return own.model_copy(update={**passes, "head_only": head_only or own.head_only})


class CellSettings(TransferSettings):
    """What determines one result: a model, and whom it is tested on."""

    teachers: Several
    """Languages that teach; if the tested one is among them, each without a fold's speakers."""
    tested: str
    """The language whose speakers are tested."""
    fold: Annotated[int, Field(ge=0, le=1000)] = 0
    """Which group of them; 0: all."""
    tuned_on: _Shots | None = None
    """Clips of each label of the tested language, of speakers of no other fold, that the model is
    fine-tuned on."""
    way: Literal["central", "federated", "own-head"] = "central"
    """central: in one place; federated: each language is a client; own-head: the tested language
    has then trained the head on all that it may learn from."""

    second_task: bool = False
    """Whether the language was a second task of those that taught."""

    @property
    def name(self) -> str:
        """Name the folder of the result."""
        parts = ["+".join(self.teachers) or NOTHING, "to", self.tested]
        if self.tuned_on is not None:
            parts += ["tuned-on", str(self.tuned_on)]
        if self.way != "central":
            parts.append(self.way)
        if self.second_task:
            parts.append("second-task")
        return "-".join([*parts, "seed", str(self.seed), "fold", str(self.fold)])


class EmbeddingSettings(LanguageSettings, LabelSettings, SeedSettings):
    """What determines how far embeddings tell emotions apart by LDA and pLDA."""

    environment: ClassVar[Prefix] = "CHORUS_EDGE_"
    panel: ClassVar[str] = "Embeddings"

    vectors: Annotated[Several, Field(min_length=1)] = ("whisper-speech",)
    """What makes one vector of an utterance, each compared: a front end that pools, or its file
    (whisper-speech, FILE.safetensors); speakers, a tdnn13 that is taught to tell the speakers of
    the languages that are not tested; text, what is said, by --sentences; or some of these side by
    side, as whisper-speech+text. Repeated, or separated by commas."""
    sentences: str = "words"
    """What makes vectors of sentences: words (counted; needs no weights), a folder with model.onnx
    and tokenizer.json, such as all-MiniLM-L6-v2's, or OWNER/NAME on the Hugging Face hub."""
    pretraining_epochs: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Passes over the clips that teach to tell speakers."""
    shrinkage: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share by which LDA draws the covariance within labels to a multiple of the identity. 0.9 was
    best of 0.01 to 0.9 on validation actors of RAVDESS (0.92, where 0.1 has 0.85)."""

    def data(self, front_end: str) -> DataSettings:
        """Give the same as settings of a run's utterances, heard through a front end.

        Raises
        ------
        SettingsError
            If they do not fit.
        """
        names = DataSettings.model_fields.keys() & EmbeddingSettings.model_fields.keys()
        own = {name: getattr(self, name) for name in names - {"corpus"}}
        return DataSettings.parse({**own, "front_end": front_end})


class EmbeddingCellSettings(EmbeddingSettings):
    """What determines one result: vectors, whom they are tested on, and who teaches."""

    tested: str
    """The language that is tested."""
    unseen: bool = False
    """Whether all other languages teach; else its own speakers of other folds do."""

    @property
    def name(self) -> str:
        """Name the folder of the result."""
        taught_by = teacher(unseen=self.unseen).replace(" ", "-")
        return f"{called(*self.vectors)}-{self.tested}-by-{taught_by}"


def teacher(*, unseen: bool) -> str:
    """Say who teaches, in a table: all other languages, or the tested one's own speakers."""
    return "all others" if unseen else "its own"


def called(vectors: str) -> str:
    """Give what tables call vectors: files by their names alone."""
    return "+".join(Path(part).name.removesuffix(".safetensors") for part in vectors.split("+"))

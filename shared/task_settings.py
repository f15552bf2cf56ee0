"""What is to be recognised, as settings."""

from typing import ClassVar

from pydantic import field_validator

from shared.errors import SettingsError
from shared.front_ends import front_end_named
from shared.settings import Settings, Several
from shared.task import DEFAULT_TASK, PAPER34, Task, labels_of


class LabelSettings(Settings):
    """What is recognised."""

    panel: ClassVar[str] = "Task"

    labels: Several = DEFAULT_TASK.names
    """What is recognised: 2 to 32 names of small letters, digits, hyphens and underscores."""

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Write each name as the task has it, so that equal labels are equal settings."""
        return Task(labels_of(value), PAPER34).names


class TaskSettings(LabelSettings):
    """What is recognised, and from which features."""

    panel: ClassVar[str] = "Task"

    front_end: str = PAPER34.name
    """What computes the features: paper34 (Chau & Garces, 2021), mfcc40 (40 coefficients each
    10 ms), whisper-speech (a vector of a speech encoder; whisper: pauses count, too), an encoder's
    file (FILE.safetensors), that of an installed package, or package.module:Name."""

    @property
    def task(self) -> Task:
        """The task that they describe."""
        return Task(labels_of(self.labels), front_end_named(self.front_end).shape)

    @field_validator("front_end")
    @classmethod
    def _check_front_end(cls, value: str) -> str:
        try:
            front_end_named(value)
        except SettingsError as error:
            sentence = error.problem.removesuffix(".")
            raise ValueError(sentence[:1].lower() + sentence[1:]) from error
        return value

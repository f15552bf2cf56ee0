"""What a model was taught by and what it reaches, as its file says it.

It describes a model, and decides nothing: a file without a card, or with one that cannot be read,
is used all the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.environment import remark_once
from shared.errors import SettingsError

SYNTHETIC: Final = frozenset({"synthetic", "synthetic-multimodal"})
"""Names of the corpora of sounds that are no speech."""

NOT_SPEECH: Final = (
    "This model was taught by synthetic sounds, which are not speech: what it says of people means "
    "nothing."
)
"""What is said whenever such a model is used."""

_KEY: Final = "card"
"""Under which it stands in a file's metadata."""

_MOST: Final = 32
"""Corpora that a card may name, and figures for each."""

_LONGEST: Final = 300
"""Characters of a text."""

_Text = Annotated[str, Field(max_length=_LONGEST)]
_Count = Annotated[int, Field(ge=0, le=10**9)]
_Share = Annotated[float, Field(ge=0, le=1)]


def cut(text: str) -> str:
    """Cut a text to what a card holds of it."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def check_names(corpora: int) -> None:
    """Raise :class:`SettingsError` if so many corpora are more than a card names.

    Whoever makes a model asks before anything learns: a card that left some out would say too
    little of whom the model has heard.
    """
    if corpora > _MOST:
        raise SettingsError(
            f"{corpora} corpora are more than the {_MOST} that a model's card names.",
            "Put some of them together, in a manifest.",
        )


class Teaching(BaseModel):
    """A corpus that taught a model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    corpus: _Text
    """As ``--corpus`` names it."""
    title: _Text
    """Its published name."""
    licence: _Text = ""
    """Under which terms it is given."""
    clips: _Count | None = None
    """How many of its clips taught the model, where that is known."""
    speakers: _Count | None = None
    """Of how many people."""
    lesson: _Text = ""
    """What was learnt of it, where that was not its labels."""

    def __str__(self) -> str:
        """Name it, with how much of it there was."""
        lesson = f" ({self.lesson})" if self.lesson else ""
        if self.clips is None or self.speakers is None:
            return f"{self.title}{lesson}"
        return f"{self.title}: {self.clips} clips of {self.speakers} speakers{lesson}"


DEVICES: Final = Teaching(corpus="federation", title="since then the devices of a federation")
"""What stands for the people who have taught a federation's models."""


class ModelCard(BaseModel):
    """What taught a model, and how well it did on other people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    taught_by: Annotated[tuple[Teaching, ...], Field(min_length=1, max_length=_MOST)]
    """The corpora."""
    reached: Annotated[
        dict[_Text, Annotated[dict[_Text, _Share], Field(max_length=_MOST)]],
        Field(max_length=_MOST),
    ] = {}
    """Unweighted average recall on corpora of other people, by their titles; for each by which of a
    speaker's moods were heard before: ``all``, ``one``, ``none``."""

    @classmethod
    def begun_with(cls, own: Sequence[Teaching], before: Iterable[Teaching]) -> Self:
        """Make the card of a model by what taught it, and what taught the weights it began with.

        A corpus is named once; of very many those that taught long ago are left out.
        """
        names = {each.corpus for each in own}
        rest = (each for each in before if each.corpus not in names)
        return cls(taught_by=(*own, *rest)[:_MOST])

    @property
    def is_synthetic(self) -> bool:
        """Whether sounds that are no speech have taught it."""
        return any(each.corpus in SYNTHETIC for each in self.taught_by)

    @property
    def teachers(self) -> str:
        """Name the corpora that taught it, in a line."""
        return "; ".join(map(str, self.taught_by))

    def to_metadata(self) -> dict[str, str]:
        """Give what a file's metadata hold of it; :func:`card_of` restores it."""
        return {_KEY: self.model_dump_json(exclude_none=True)}

    def of_descendants(self) -> Self:
        """Give the card of models that a federation makes of this one: what it reached is no more.

        They say that devices have taught them, too.
        """
        known = [each for each in self.taught_by if each != DEVICES]
        return self.model_copy(update={"taught_by": (*known[: _MOST - 1], DEVICES), "reached": {}})


def card_of(metadata: Mapping[str, str]) -> ModelCard | None:
    """Read the card in a file's metadata; ``None`` if there is none that can be read."""
    try:
        return ModelCard.model_validate_json(metadata[_KEY])
    except (KeyError, ValidationError):
        return None


def remark_on_no_speech(metadata: Mapping[str, str]) -> None:
    """Say, once a process, if the model of a file that is used was taught by what is no speech."""
    card = card_of(metadata)
    if card and card.is_synthetic:
        remark_once(NOT_SPEECH)

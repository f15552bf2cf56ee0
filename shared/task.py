"""What is recognised, as data: labels, the front end, the score.

A task is a value. It travels in a model's file, in the announcement of a round and in a device's
store, and everything that depends on labels or on the shape of features asks it. Nothing else knows
how many labels there are, or what features look like.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, Final, Literal, Self

FEWEST_LABELS: Final = 2
"""With one label there is nothing to tell apart."""

MOST_LABELS: Final = 32
"""Labels of a task at most: what fits on a phone's page."""

LONGEST_NAME: Final = 32
"""Characters of a label's name or word, and of a front end's name."""

COLOURS: Final = ("red", "amber", "grey", "blue", "purple", "green", "pink", "teal")
"""What a label may be coloured in; each screen has shades of its own for them."""

SHAPES: Final = ("burst", "circle", "square", "drop", "triangle", "hexagon", "diamond", "cross")
"""What stands beside a label's word, for who does not see colours."""

RESERVED: Final = frozenset({"other", "unlabelled", "discarded", "unknown"})
"""Names that mean something else where labels are listed or counted."""

_LARGEST: Final = 1 << 20
"""Frames, features and versions that are believed."""

_DIGEST: Final = re.compile("[0-9a-f]{64}")

_LOOKS: Final = {
    "angry": ("red", "burst"),
    "happy": ("amber", "circle"),
    "neutral": ("grey", "square"),
    "sad": ("blue", "drop"),
    "fearful": ("purple", "triangle"),
    "disgusted": ("green", "hexagon"),
    "surprised": ("pink", "diamond"),
    "calm": ("teal", "cross"),
}
"""What emotions look like; other labels take what is left."""


def _is_name(text: str) -> bool:
    letters = text.replace("-", "").replace("_", "")
    return 0 < len(text) <= LONGEST_NAME and letters.isalnum() and text == text.lower()


def _shown(text: object) -> str:
    """Make what came from outside fit for a sentence: short, and without control characters."""
    kept = "".join(letter if letter.isprintable() else "?" for letter in str(text)[:LONGEST_NAME])
    return repr(kept) if not kept.strip() else kept


@dataclass(frozen=True, slots=True)
class Label:
    """Something that can be recognised, and what people see of it.

    Attributes
    ----------
    name
        What files, messages and options call it: letters, digits, ``-`` and ``_``, small.
    word
        What people read.
    colour
        One of :data:`COLOURS`.
    shape
        One of :data:`SHAPES`.

    Raises
    ------
    ValueError
        If one of them cannot be.
    """

    name: str
    word: str
    colour: str
    shape: str

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise ValueError(
                f"the label {_shown(self.name)} should be 1 to {LONGEST_NAME} small letters, "
                "digits, hyphens and underscores"
            )
        if self.name in RESERVED:
            raise ValueError(f"no label can be called {self.name}: it means something else here")
        if not (0 < len(self.word) <= LONGEST_NAME and self.word.isprintable()):
            raise ValueError(f"the word for {self.name} should be 1 to {LONGEST_NAME} characters")
        if self.colour not in COLOURS:
            raise ValueError(f"{self.name} should have one of the colours {', '.join(COLOURS)}")
        if self.shape not in SHAPES:
            raise ValueError(f"{self.name} should have one of the shapes {', '.join(SHAPES)}")


@dataclass(frozen=True, slots=True)
class FrontEndShape:
    """Which features a task is recognised from, and what they look like.

    Attributes
    ----------
    name
        Of the front end that computes them.
    version
        Rises whenever the same sound gives other features.
    frames
        Frames of an utterance, or the most where the length varies.
    features
        Values of a frame.
    variable
        Whether an utterance has as many frames as it lasts; if not, it is padded with zeros or cut
        to ``frames``.
    weights
        SHA-256, in hexadecimal, of the file of the encoder that computes them; empty for features
        that no weights are needed for.

    Raises
    ------
    ValueError
        If one of them cannot be.
    """

    name: str
    version: int
    frames: int
    features: int
    variable: bool = False
    weights: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise ValueError(f"no front end can be called {_shown(self.name)}")
        for what, number in (("frames", self.frames), ("features", self.features)):
            if not 1 <= number <= _LARGEST:
                raise ValueError(f"a front end cannot have {number} {what}")
        if not 1 <= self.version <= _LARGEST:
            raise ValueError(f"a front end cannot be of version {self.version}")
        if self.weights and not _DIGEST.fullmatch(self.weights):
            raise ValueError(f"{_shown(self.weights)} is no digest of an encoder")

    def __str__(self) -> str:
        """Name it with its version, as messages do, and with its encoder if there is one."""
        encoder = f" with the encoder {self.weights[:8]}" if self.weights else ""
        return f"{self.name} {self.version}{encoder}"

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it; without weights as it was before there were encoders."""
        facts = asdict(self)
        if not self.weights:
            del facts["weights"]
        return facts


@dataclass(frozen=True)
class Task:
    """What is recognised, from what, and how it is scored.

    Attributes
    ----------
    labels
        In the order of every logit, table and count.
    front_end
        What features are computed.
    score
        ``uar``: unweighted average recall, the mean over labels of the share recognised.

    Raises
    ------
    ValueError
        If there are no labels, too many, or two of one name.
    """

    labels: tuple[Label, ...]
    front_end: FrontEndShape
    score: Literal["uar"] = "uar"

    def __post_init__(self) -> None:
        if not FEWEST_LABELS <= len(self.labels) <= MOST_LABELS:
            raise ValueError(
                f"there should be {FEWEST_LABELS} to {MOST_LABELS} labels, "
                f"there are {len(self.labels)}"
            )
        seen: set[str] = set()
        for name in self.names:
            if name in seen:
                raise ValueError(f"the label {name} is given twice")
            seen.add(name)
        if self.score != "uar":
            raise ValueError(f"there is no score {_shown(self.score)}; there is uar")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The labels' names: logit ``i`` and label ``i`` stand for ``names[i]``."""
        return tuple(label.name for label in self.labels)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The place of each name among the labels."""
        return {name: place for place, name in enumerate(self.names)}

    def missing(self, labels: Container[int]) -> list[str]:
        """Name the labels whose places are not among some."""
        return [name for place, name in enumerate(self.names) if place not in labels]

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of what models depend on; what people see does not matter."""
        facts = {"labels": self.names, "front_end": self.front_end.to_dict(), "score": self.score}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def difference(self, other: "Task") -> str | None:
        """Say in words how another task differs in what matters; ``None`` if it does not.

        Returns
        -------
        str or None
            A clause about the other: ``it recognises calm, sad instead of angry, happy``.
        """
        if other.names != self.names:
            return f"it recognises {', '.join(other.names)} instead of {', '.join(self.names)}"
        if other.front_end != self.front_end:
            here, there = self.front_end, other.front_end
            if here.weights and there.weights and here.weights != there.weights:
                return (
                    f"its encoder is {there.weights[:8]} ({there.name} {there.version}, "
                    f"{_shape(there)}) instead of {here.weights[:8]} ({here.name} "
                    f"{here.version}, {_shape(here)})"
                )
            return (
                f"its features are {other.front_end} ({_shape(other.front_end)}) instead of "
                f"{self.front_end} ({_shape(self.front_end)})"
            )
        return None

    def to_dict(self) -> dict[str, Any]:
        """Give the task as JSON takes it; :meth:`from_dict` restores it."""
        return {
            "labels": [asdict(label) for label in self.labels],
            "front_end": self.front_end.to_dict(),
            "score": self.score,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore what :meth:`to_dict` gave; fields that a newer version has are left aside.

        Raises
        ------
        ValueError
            If it is no such task: something is missing, of another type, or cannot be.
        """
        try:
            labels = tuple(Label(**_texts(each, Label)) for each in values["labels"][:_LARGEST])
            front_end = FrontEndShape(**_fields(values["front_end"], FrontEndShape))
            return cls(labels, front_end, values.get("score", "uar"))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("this is not a task") from error

    def keys(self, taken: Iterable[str] = ()) -> dict[str, str]:
        """Give each label a key: the first letter of its name that is free, else a free digit.

        Parameters
        ----------
        taken
            Keys that mean something else.

        Returns
        -------
        dict of str to str
            The names by their keys, in the labels' order.
        """
        free = set("abcdefghijklmnopqrstuvwxyz0123456789") - set(taken)
        found: dict[str, str] = {}
        for name in self.names:
            for key in (*unicodedata.normalize("NFKD", name), *"1234567890", *sorted(free)):
                if key in free:
                    free.discard(key)
                    found[key] = name
                    break
        return found


def labels_of(names: Iterable[str]) -> tuple[Label, ...]:
    """Make labels of names; those of emotions look as they always do.

    Raises
    ------
    ValueError
        As :class:`Label` does.
    """
    wanted = [unicodedata.normalize("NFC", name.strip()).lower() for name in names]
    used = {_LOOKS[name] for name in wanted if name in _LOOKS}
    # Neighbours should differ in both, so the second goes round with the first.
    rest = (
        (colour, SHAPES[(place + turn) % len(SHAPES)])
        for turn, (place, colour) in product(range(len(SHAPES)), enumerate(COLOURS))
    )
    spare = (look for look in rest if look not in used)
    # More than there are looks are made too, so that the task can say that they are too many.
    looks = [_LOOKS.get(name) or next(spare, (COLOURS[0], SHAPES[0])) for name in wanted]
    return tuple(
        Label(name, name.replace("_", " ").capitalize(), *look)
        for name, look in zip(wanted, looks, strict=True)
    )


PAPER34: Final = FrontEndShape("paper34", version=1, frames=100, features=34)
"""The features of Chau & Garces (2021): 10 s at a hop of 0.1 s."""

DEFAULT_TASK: Final = Task(labels_of(("angry", "happy", "neutral", "sad")), PAPER34)
"""Four emotions, from the paper's features."""


def options_for(task: Task, instead_of: Task = DEFAULT_TASK) -> str:
    """Write the options that choose a task where another one is chosen now."""
    options = []
    if task.names != instead_of.names:
        options.append(f"--labels {','.join(task.names)}")
    if task.front_end.name != instead_of.front_end.name:
        options.append(f"--front-end {front_end_option(task.front_end)}")
    return " ".join(options)


def front_end_option(front_end: FrontEndShape) -> str:
    """Say what an option calls a front end; one of an encoder's file is not known by its name."""
    of_file = front_end.weights and front_end.name.endswith(f"-{front_end.weights[:8]}")
    if not of_file:
        return front_end.name
    return f"FILE.safetensors (the encoder with the SHA-256 {front_end.weights[:8]}...)"


def _shape(front_end: FrontEndShape) -> str:
    most = "up to " if front_end.variable else ""
    return f"{most}{front_end.frames} x {front_end.features}"


def _fields(values: Mapping[str, Any], of: type) -> dict[str, Any]:
    """Take the fields that a class has, of the types that it asks for."""
    found = {name: values[name] for name in of.__annotations__ if name in values}
    for name, value in found.items():
        if type(value) is not of.__annotations__[name]:
            raise ValueError(f"{_shown(name)} is of another type in a task")
    return found


def _texts(values: Any, of: type) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise TypeError("a label is an object")
    return _fields(values, of)

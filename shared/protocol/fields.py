"""What the fields of messages may hold, and how much of it."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from shared.protocol.topics import is_name
from shared.round_settings import LONGEST_NAME, MOST_ROUNDS
from shared.task import FEWEST_LABELS, MOST_LABELS, Task

LARGEST_FILE: Final = 1 << 30
"""Bytes of a model's or an update's file."""

MOST_RANGES: Final = 256
"""Ranges a message may list; what is left out is told in a later one."""

LAST_SEQUENCE: Final = (1 << 32) - 1
"""Largest sequence number of a chunk: a frame has four bytes for it."""

MOST_FORGOTTEN: Final = 64
"""Rows of rounds that an announcement tells of, the latest."""

MOST_HANDED_OVER: Final = 16
"""Keys before the newest that are told of; who believes an older one of the aggregator joins
anew."""

MOST_EXAMPLES: Final = 10**9
"""Examples that a client may say it has."""

LARGEST_LOSS: Final = 3.5e38
"""A mean of float32 losses is below it."""

Bytes32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in hexadecimal: a key, a secret, a proof."""


class Successor(BaseModel):
    """What an old key says of the next one of the same owner (``shared/trust/succession.py``)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: Bytes32
    """The new key, in hexadecimal."""
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
    """By the old one."""


Succession = Annotated[list[Successor], Field(max_length=MOST_HANDED_OVER)]
"""The keys that somebody has had, the oldest first; since 1.2."""

LARGEST_ISSUED: Final = (1 << 53) - 1
"""The largest number of a key that a root issues: what every reader of JSON holds exactly."""


class Issued(BaseModel):
    """What a root says of a key that the aggregator signs with (``shared/trust/issuing.py``)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: Annotated[int, Field(ge=0, le=LARGEST_ISSUED)]
    """Larger than that of each key before."""
    key: Bytes32
    """The key, in hexadecimal."""
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
    """By the root."""


Digest = Bytes32
"""SHA-256 of a whole file, in hexadecimal."""

Size = Annotated[int, Field(ge=1, le=LARGEST_FILE)]

RoundNumber = Annotated[int, Field(ge=1, le=MOST_ROUNDS)]

Offset = Annotated[int, Field(ge=0, le=LARGEST_FILE)]

CodecName = Annotated[str, Field(max_length=LONGEST_NAME)]

RangeList = Annotated[list[tuple[Offset, Offset]], Field(max_length=MOST_RANGES)]
"""Half-open ranges of bytes, sorted and apart from each other."""


def _square(rows: list[list[int]]) -> list[list[int]]:
    if any(len(row) != len(rows) for row in rows):
        raise ValueError("a confusion matrix should have as many columns as rows")
    return rows


_Count = Annotated[int, Field(ge=0, le=10**6)]
_Row = Annotated[list[_Count], Field(max_length=MOST_LABELS)]

Confusion = Annotated[
    list[_Row], Field(min_length=FEWEST_LABELS, max_length=MOST_LABELS), AfterValidator(_square)
]
"""Counts, as many rows as columns: rows are true labels, columns predicted ones."""


def _task(value: Any) -> Task:
    return value if isinstance(value, Task) else Task.from_dict(value)


TaskField = Annotated[Task, PlainValidator(_task), PlainSerializer(Task.to_dict)]
"""A task as an object: ``labels``, ``front_end``, ``score``."""


def _checked(text: str) -> str:
    if not is_name(text):
        raise ValueError(
            "a name has 1 to 64 small letters, digits and hyphens, and does not begin with a hyphen"
        )
    return text


Name = Annotated[str, AfterValidator(_checked)]
"""What federations and clients may be called."""

ArchitectureName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Name of a model that both sides know; never a module's, which would be imported."""

Sentence = Annotated[str, Field(max_length=500)]


Supply = Literal["none", "some", "enough", "new"]
"""Labelled examples of a client: none; fewer than it needs to take part; enough; and so many new
ones, too, that a round may open."""

"""The messages in words: JSON, each of a pydantic class.

Every message carries the version of the protocol. Unknown fields are left aside, so a newer minor
version is understood; another major version is refused with a reason.
"""

import json
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)

from shared.errors import ProtocolError, shown
from shared.protocol.fields import (
    LARGEST_FILE,
    LARGEST_LOSS,
    LAST_SEQUENCE,
    MOST_EXAMPLES,
    MOST_FORGOTTEN,
    ArchitectureName,
    CodecName,
    Confusion,
    Digest,
    Issued,
    Name,
    RangeList,
    RoundNumber,
    Sentence,
    Size,
    Succession,
    Supply,
    TaskField,
)
from shared.protocol.privacy_offer import PrivacyOffer
from shared.protocol.secure_offer import SecureOffer
from shared.round_settings import (
    LONGEST_NAME,
    LONGEST_ROUND,
    MOST_ASKED,
    MOST_CLIENTS,
    MOST_SECURE,
)
from shared.task import DEFAULT_TASK
from shared.training import Seed, TrainingSettings
from shared.validation import what_is_wrong

T = TypeVar("T")

MAJOR: Final = 1
MINOR: Final = 3
VERSION: Final = f"{MAJOR}.{MINOR}"

LARGEST_MESSAGE: Final = 1 << 20
"""Bytes of a message in words; one that is longer is refused unread."""

_ASKED_IN_1_0: Final = {"scaffold": ["control"]}
"""Vectors that clients send for strategies of 1.0, which announced no more than their names."""


def _known_settings(values: Any) -> Any:
    """Leave aside training settings that a newer minor version has."""
    if not isinstance(values, dict):
        return values
    return {name: value for name, value in values.items() if name in TrainingSettings.model_fields}


class Message(BaseModel):
    """What all messages have in common."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    protocol: Annotated[str, Field(pattern=r"^\d{1,4}\.\d{1,4}$")] = VERSION
    """Version of the protocol, major and minor."""

    def encode(self) -> bytes:
        """Write the message as JSON."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a message.

        Raises
        ------
        ProtocolError
            If it is too long, not JSON, of another major version, or not such a message.
        """
        return _validated(TypeAdapter(cls), payload)


class File(BaseModel):
    """A file that can be asked for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    digest: Digest
    size: Size


class Difference(BaseModel):
    """A model's difference to another one, as a file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base: Digest
    """The other model: who has its file adds the difference to it."""
    file: File
    """Written as updates are, by the aggregator."""
    codec: CodecName


class Announcement(Message):
    """The current round, retained: all that a client which comes late or back needs to know."""

    federation: Name
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Tells this federation from an earlier one of the same name."""
    state: Literal["waiting", "open", "finished"]
    """Waiting for enough clients; open for updates; or no further round will come."""
    round: RoundNumber
    """Number of the round."""
    architecture: ArchitectureName
    task: TaskField = DEFAULT_TASK
    """What is recognised; since 1.1, and the default task where it is not given."""
    model: File
    """The round's global weights, as safetensors."""
    difference: Difference | None = None
    """The difference of ``model`` to the model before, if there is such a file; since 1.2."""
    averaged: File | None = None
    """The running average of the rounds' models, which recognises better, if one is kept."""
    control: File | None = None
    """The strategy's control variate (SCAFFOLD), as safetensors with the names of the weights."""
    statistics: File | None = None
    """What devices' statistics begin with (a voice model, or those of other people), as
    safetensors, where it belongs to the model; since 1.2."""
    training: Annotated[TrainingSettings, BeforeValidator(_known_settings)]
    """How clients train in this round."""
    strategy: Annotated[str, Field(max_length=LONGEST_NAME)] = "fedavg"
    """The strategy's name."""
    vectors: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=16)] | None = (
        None
    )
    """What clients send besides the difference of their weights: ``control``, the change of their
    control variate. Since 1.1: see :attr:`extra_vectors`."""
    codecs: Annotated[list[CodecName], Field(min_length=1, max_length=16)]
    """How updates may be encoded; the first is preferred."""
    seed: Seed
    """What clients open their random streams with."""
    least_examples: Annotated[int, Field(ge=1, le=MOST_ASKED)] = 1
    """Labelled examples that a client needs to take part; since 1.2."""
    new_examples: Annotated[int, Field(ge=0, le=MOST_ASKED)] = 0
    """Those beyond its last accepted update that make it worth a round; since 1.2."""
    forgotten: (
        Annotated[list[tuple[RoundNumber, RoundNumber]], Field(max_length=MOST_FORGOTTEN)] | None
    ) = None
    """Rounds that the model is not made of, though they have ended: the first and the last of each
    row; since 1.2."""
    clients: Annotated[list[Name], Field(max_length=MOST_CLIENTS)] | None = None
    """Who takes part; everybody, if not given."""
    closes_in: Annotated[FiniteFloat, Field(ge=0, le=LONGEST_ROUND)] | None = None
    """Seconds from this announcement to the round's deadline; the aggregator's clock alone counts.
    """
    closes_at: AwareDatetime | None = None
    """The same by the calendar, for who reads the announcement later; to be shown only."""
    chunk: Annotated[int, Field(ge=1024, le=1 << 24)] = 1 << 16
    """Bytes of a chunk, but for a file's last."""
    succession: Succession | None = None
    """How the key that signs this came to be the federation's; since 1.2."""
    issued: Issued | None = None
    """What the root says of the key that signs this, if there is one above it; since 1.3."""
    renewed: Annotated[dict[Name, Succession], Field(max_length=MOST_SECURE)] | None = None
    """How the keys of devices in a secure round came to be theirs, of those that have had others;
    since 1.3."""
    secure: SecureOffer | None = None
    """That the open round is a secure one, and how (docs/secure.md); since 1.3. Its only codec is
    ``ring``, which clients before 1.3 do not know: they send nothing."""
    privacy: PrivacyOffer | None = None
    """The privacy budget of all rounds, if there is one; since 1.3."""

    @property
    def extra_vectors(self) -> list[str]:
        """What clients send besides the difference of their weights, whoever announced it."""
        return _ASKED_IN_1_0.get(self.strategy, []) if self.vectors is None else self.vectors


class Presence(Message):
    """That a client is there, retained; or, as its will, that it is not."""

    state: Literal["online", "offline"]
    examples: Annotated[int, Field(ge=0, le=MOST_EXAMPLES)] | None = None
    """Labelled examples it could train on; not said any more since 1.2."""
    supply: Supply | None = None
    """How many that are, roughly; since 1.2, once it knows what the federation asks for."""
    trains: bool = True
    """Whether it would take part in a round now."""
    task: Digest | None = None
    """Digest of the task that it recognises; since 1.1."""
    software: Annotated[str, Field(max_length=100)] = ""

    @property
    def minor(self) -> int:
        """The minor version of the protocol that it speaks."""
        return int(self.protocol.partition(".")[2])


class Offer(Message):
    """A client has a finished update."""

    kind: Literal["offer"] = "offer"
    update: Digest
    """SHA-256 of the update's file: its name in all that follows."""
    size: Size
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    round: RoundNumber
    model: Digest
    """The weights that the update is a difference to."""
    task: Digest = DEFAULT_TASK.digest
    """The task's digest; since 1.1, and that of the default task where it is not given."""
    codec: CodecName
    examples: Annotated[int, Field(ge=1, le=MOST_EXAMPLES)]
    loss: Annotated[FiniteFloat, Field(ge=-LARGEST_LOSS, le=LARGEST_LOSS)] | None = None
    """Mean training loss."""
    confusion: Confusion | None = None
    """The round's global model on the client's held-out examples."""
    counted: bool | None = None
    """Whether the client was told before that it counts, and only asks whether it still does; since
    1.1."""


class _NamesUpdate(Message):
    """What an offer has at least."""

    kind: Literal["offer"]
    update: Digest


class Want(Message):
    """A client asks for parts of a file."""

    kind: Literal["want"] = "want"
    file: Digest
    ranges: RangeList
    seen: Annotated[int, Field(ge=0, le=LAST_SEQUENCE)] = 0
    """Highest sequence number of a chunk of this file that it received; 0 if none.

    What was published after it is on its way, and not published again.
    """


class Received(Message):
    """What of an update is safe on the aggregator's disk, and how far the client may run ahead."""

    kind: Literal["received"] = "received"
    update: Digest
    ranges: RangeList
    window: Annotated[int, Field(ge=0, le=LARGEST_FILE)]
    """Bytes that may be under way beyond the ranges; 0 means: wait for the next such message."""


class Accepted(Message):
    """An update is complete, checked and safe; it counts."""

    kind: Literal["accepted"] = "accepted"
    update: Digest


class Refused(Message):
    """An update does not count and will not; the client may drop it."""

    kind: Literal["refused"] = "refused"
    update: Digest
    reason: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,31}$")]
    """late, duplicate, uninvited, foreign, damaged, invalid, too-large, unwelcome, forgotten or,
    since 1.3, abandoned and those of docs/secure.md; a newer minor version may have others, which
    are as final."""
    sentence: Sentence


class Unavailable(Message):
    """A file that a client asked for is not to be had."""

    kind: Literal["unavailable"] = "unavailable"
    file: Digest
    sentence: Sentence


Request = Annotated[Offer | Want, Field(discriminator="kind")]
Reply = Annotated[Received | Accepted | Refused | Unavailable, Field(discriminator="kind")]

_REQUESTS: Final[TypeAdapter[Offer | Want]] = TypeAdapter(Request)
_REPLIES: Final[TypeAdapter[Received | Accepted | Refused | Unavailable]] = TypeAdapter(Reply)


def decode_request(payload: bytes) -> Offer | Want:
    """Read what a client asks; raises as :meth:`Message.decode`."""
    return _validated(_REQUESTS, payload)


def offered_update(payload: bytes) -> str | None:
    """Read which update a malformed offer is of, so that it is refused; ``None`` if not said."""
    try:
        return _NamesUpdate.decode(payload).update
    except ProtocolError:
        return None


def decode_reply(payload: bytes) -> Received | Accepted | Refused | Unavailable:
    """Read what the aggregator answers; raises as :meth:`Message.decode`."""
    return _validated(_REPLIES, payload)


def _validated(adapter: "TypeAdapter[T]", payload: bytes) -> T:
    if len(payload) > LARGEST_MESSAGE:
        raise ProtocolError(f"A message of {len(payload)} bytes is too long.")
    try:
        values = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("A message is not JSON.") from error
    if not isinstance(values, dict):
        raise ProtocolError("A message is not a JSON object.")
    _check_version(values.get("protocol"))
    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ProtocolError(
            f"A message is wrong: {shown(where)}: {shown(what_is_wrong(first))}."
        ) from error


def _check_version(version: object) -> None:
    if not isinstance(version, str):
        raise ProtocolError("A message does not say its protocol's version.")
    major = version.partition(".")[0]
    if major != str(MAJOR):
        raise ProtocolError(
            f"The other side speaks protocol {shown(version)}, this one {VERSION}.",
            "Install the same major version of chorus-edge on both sides.",
        )

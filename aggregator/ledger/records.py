"""The ledger's rows, as data. Times are seconds since 1970, UTC, of the machine's calendar."""

from dataclasses import dataclass
from typing import Any, Literal

Counts = list[list[int]]
"""A confusion matrix, a row a label: rows are true labels, columns predicted ones."""

Origin = Literal["initial", "round", "rollback"]
"""Where a version of the global model came from."""

RoundState = Literal["open", "closed", "done", "abandoned"]
"""Open for updates; closed and not aggregated yet; has its model; was given up without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A global model, and what belongs to it.

    Attributes
    ----------
    digest, bytes
        Of its file.
    difference
        Digest of the file with its difference to the model that its round began with, if it
        travels as that.
    average
        Digest of the running average's file, if one is kept.
    control
        Digest of the control variate's file that clients get (SCAFFOLD), if there is one. It is
        what the strategy goes on with, too.
    memory
        Digest of the file with what the strategy remembers besides, if it does.
    statistics
        Digest of the file with what devices' statistics begin with, if the federation has one.
    validation
        Counts on the validation corpus, if there is one; of the average, if one is kept.
    """

    digest: str
    bytes: int
    difference: str | None = None
    average: str | None = None
    control: str | None = None
    memory: str | None = None
    statistics: str | None = None
    validation: Counts | None = None

    @property
    def files(self) -> set[str]:
        """Digests of all its files."""
        beside = (self.difference, self.average, self.control, self.memory, self.statistics)
        return {self.digest, *(name for name in beside if name)}

    @property
    def exported(self) -> str:
        """Digest of what is exported: the running average where one is kept."""
        return self.average or self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Model):
    """The global model at one point of the federation's course. The newest is the current one.

    Attributes
    ----------
    number
        Counts versions, from 1.
    origin
        Where it came from.
    round
        The round that it is the result of, 0 for the initial one; after a rollback, that of the
        model it repeats.
    parent
        The version it was computed from (``round``) or repeats (``rollback``).
    created
        When.
    """

    number: int
    origin: Origin
    round: int
    parent: int | None
    created: float


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round.

    Attributes
    ----------
    number
        From 1.
    state
        How far it is.
    base
        The version of the model that clients train from.
    invited, wanted
        Clients invited, sorted, and updates wanted.
    settings
        All settings of the federation at its opening; those of training as announced.
    opened, ended
        When; ``ended`` is ``None`` while it is under way.
    note
        Why it was abandoned, or what was remarkable about its updates; otherwise empty.
    loss
        Mean training loss over the examples of its updates, if clients told it.
    confusion
        Counts of the base model on the clients' held-out examples, summed.
    seconds
        What aggregating took.
    """

    number: int
    state: RoundState
    base: int
    invited: tuple[str, ...]
    wanted: int
    settings: dict[str, Any]
    opened: float
    ended: float | None
    note: str
    loss: float | None
    confusion: Counts | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedUpdate:
    """An update that was checked and is safe on the disk, ready to be entered.

    Attributes
    ----------
    round, client
        What it belongs to.
    digest, bytes, codec
        Of its file.
    examples
        Number of examples that the client says it trained on.
    norm
        Euclidean norm of its difference.
    loss
        Mean training loss, if told.
    confusion
        The base model's counts on the client's held-out examples, if told.
    """

    round: int
    client: str
    digest: str
    bytes: int
    codec: str
    examples: int
    norm: float
    loss: float | None = None
    confusion: Counts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRecord(CheckedUpdate):
    """An accepted update.

    Attributes
    ----------
    accepted
        When.
    """

    accepted: float


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """What is known of a client.

    Attributes
    ----------
    name
        Its name.
    present
        Whether it is there, as far as is known.
    trains
        Whether it would take part in a round.
    examples
        Labelled examples that it said it trained on, with its last accepted update; those that it
        says it has, if it is of a protocol before 1.2. 0 if nobody knows, as in secure rounds.
    supply
        What it says of those it has now: ``none``, ``some``, ``enough`` or ``new``; empty if
        nothing.
    software
        What it says it runs.
    last_seen
        When something of it arrived last.
    bytes_up, bytes_down
        Bytes of its chunks that arrived, and of files that were sent because it asked.
    updates
        How many of its updates were accepted.
    """

    name: str
    present: bool
    trains: bool
    examples: int
    supply: str
    software: str
    last_seen: float
    bytes_up: int
    bytes_down: int
    updates: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """An update, or something else, that was refused.

    Attributes
    ----------
    at
        When.
    client, round, digest
        What it was, as far as known.
    reason
        A word of :class:`shared.protocol.messages.Refused`.
    sentence
        What the client was told.
    """

    at: float
    client: str
    round: int | None
    digest: str | None
    reason: str
    sentence: str

"""Everything that can go wrong in a way its user can fix.

Each kind has a stable exit code, listed with its remedy in ``docs/errors.md``. A command prints the
sentence and the remedy, never a traceback (see :mod:`shared.command`).
"""

from typing import ClassVar, Final

_SHOWN: Final = 200
"""Characters of others' that an error repeats."""


class ChorusError(Exception):
    """An error that its user can fix.

    Parameters
    ----------
    problem
        What happened and where, in one sentence. It may repeat what a file or a stranger said:
        what cannot be printed of that is escaped.
    remedy
        What to do about it, in one sentence; empty where the problem says it all.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        if not problem.isprintable():
            problem = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in problem)
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    @property
    def message(self) -> str:
        """The problem and its remedy, as one text."""
        return f"{self.problem} {self.remedy}".strip()


class SettingsError(ChorusError):
    """A setting is unknown, out of range, or contradicts another."""

    exit_code = 2


class CorpusError(ChorusError):
    """A corpus is not where it should be, or does not hold what the task needs."""

    exit_code = 10


class AudioError(ChorusError):
    """A clip cannot be read, or holds nothing to compute features from."""

    exit_code = 11


class WeightsError(ChorusError):
    """Weights do not belong to the architecture, are damaged, or are not finite."""

    exit_code = 12


class RunError(ChorusError):
    """A run's folder belongs to another run, or its checkpoint is damaged."""

    exit_code = 13


class StorageError(ChorusError):
    """The disk is full, or a folder cannot be written.

    Attributes
    ----------
    full
        Whether there was no room: then it can be tried again when there is.
    """

    exit_code = 14
    full = False

    @property
    def awaited(self) -> str:
        """What is said where the program goes on by itself, instead of :attr:`message`."""
        return (
            f"{self.problem} Free some space: it goes on by itself." if self.full else self.message
        )

    @staticmethod
    def remedy_of(error: OSError) -> str:
        """Say what to do where the system does not let a path be used."""
        match error:
            case PermissionError():
                return "Let this user read and write it, or give another place."
            case FileNotFoundError():
                return "Look whether it and its folder are there, or give another place."
        return "Give another place."

    @classmethod
    def full_disk(cls, path: object) -> "StorageError":
        """Make the error of a disk that has no room for a file."""
        error = cls(
            f"The disk is full while writing {path}.",
            "Free some space and start again: what was finished before is kept.",
        )
        error.full = True
        return error


class MissingPartError(ChorusError):
    """A package, a runtime or a device that the command needs is not there."""

    exit_code = 15


class TrainingError(ChorusError):
    """Training cannot start or go on: bad examples, a loss that is not finite."""

    exit_code = 16


class ProtocolError(ChorusError):
    """A message or a chunk is not what the protocol says, or is of another version of it."""

    exit_code = 17


class BrokerError(ChorusError):
    """The broker does not let this client in, or cannot be what was asked for."""

    exit_code = 18


class FederationError(ChorusError):
    """A federation's state is damaged, is used by another process, or belongs to another one."""

    exit_code = 19


class TrustError(ChorusError):
    """A key, a signature or an invitation is not what it should be."""

    exit_code = 20


class SecureError(ChorusError):
    """A secure round cannot go on, or what somebody says in it is refused.

    Parameters
    ----------
    problem, remedy
        As of every error.
    reason
        What the other side is told: one of the reasons that ``docs/secure.md`` lists.
    """

    exit_code = 21

    def __init__(self, problem: str, remedy: str = "", *, reason: str) -> None:
        super().__init__(problem, remedy)
        self.reason = reason


class TrackingError(ChorusError):
    """A tracker of experiments does not answer, or does not take what it is given.

    Parameters
    ----------
    problem, remedy
        As of every error.
    away
        Whether it does not answer: then the same may be tried again later.
    """

    exit_code = 22

    def __init__(self, problem: str, remedy: str = "", *, away: bool = False) -> None:
        super().__init__(problem, remedy)
        self.away = away


def reason_of(error: Exception) -> str:
    """Say in a line, for a sentence, why code that is not ours failed: type and first line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")


def shown(text: str) -> str:
    """Make what others wrote fit for a sentence: short, and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_SHOWN])

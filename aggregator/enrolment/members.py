"""Who was invited, who has joined with which key, and their accounts: one SQLite file.

Several processes use it at once: `aggregator serve`, its broker, and the commands that invite and
revoke. Each step is one transaction. Who looks at it for long asks :meth:`Members.changed`.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from shared.errors import StorageError, TrustError
from shared.protocol.rights import AccountKind
from shared.storage.files import refuse_pipe, storage_errors, touch
from shared.storage.write_ahead import BUSY_SECONDS, NO_ROOM, write_ahead
from shared.trust.keys import PublicKey

if TYPE_CHECKING:  # the embedded broker's process does without pydantic
    from shared.protocol.fields import Successor

_FIRST: Final = """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE invitations (
        name TEXT PRIMARY KEY,
        code BLOB NOT NULL,
        secret BLOB NOT NULL,  -- half of the exchange that makes the account's password
        expires REAL NOT NULL,
        used_by BLOB,  -- the key that has joined with it
        half BLOB  -- what that device gave of the exchange
    );
    CREATE TABLE members (name TEXT PRIMARY KEY, key BLOB NOT NULL, since REAL NOT NULL);
    CREATE TABLE accounts (
        username TEXT PRIMARY KEY,
        kind TEXT NOT NULL,  -- aggregator, device or guest
        name TEXT NOT NULL,
        digest BLOB NOT NULL,  -- SHA-256 of the password, which has 128 random bits or more
        told BLOB  -- the digest that another broker than ours was told
    );
    CREATE TABLE heard (
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (name, kind)
    );
"""

_SUCCESSION: Final = """
    -- How the key came after those that the member had before: JSON, as messages have it.
    ALTER TABLE members ADD COLUMN succession TEXT NOT NULL DEFAULT '[]';
"""

_REVOKED: Final = """
    -- Accounts of those who were shut out, as long as another broker than ours may have them.
    CREATE TABLE revoked (username TEXT PRIMARY KEY, name TEXT NOT NULL);
"""

_MIGRATIONS: Final = (_FIRST, _SUCCESSION, _REVOKED)
"""What makes each version of the tables of the one before; never changed, only added to."""


class Account(NamedTuple):
    """What the broker knows of a user.

    Attributes
    ----------
    kind, name
        Whose it is.
    digest
        SHA-256 of the password.
    """

    kind: AccountKind
    name: str
    digest: bytes


class Member(NamedTuple):
    """A device that has joined.

    Attributes
    ----------
    name, key
        Whose messages are signed with which key.
    since
        When it joined, in seconds since 1970.
    succession
        What its earlier keys have said of the next ones, the oldest first.
    """

    name: str
    key: PublicKey
    since: float
    succession: tuple["Successor", ...] = ()


class Invitation(NamedTuple):
    """What a device may join with, once.

    Attributes
    ----------
    name
        Whom it is for.
    code
        Its 16 secret bytes.
    secret
        The aggregator's half of the exchange that makes the account's password.
    expires
        Until when, in seconds since 1970.
    used_by
        The key that has joined with it.
    half
        What that device gave of the exchange.
    """

    name: str
    code: bytes
    secret: bytes
    expires: float
    used_by: PublicKey | None = None
    half: bytes | None = None


class Members:
    """The members of one federation.

    Parameters
    ----------
    path
        The file; made if it is not there.
    clock
        Gives the time, in seconds since 1970.

    Attributes
    ----------
    path, clock
        As given.

    Raises
    ------
    TrustError
        If it is damaged, or was written by a newer version; so do all methods.
    StorageError
        If the disk is full or the folder cannot be written; so do the methods that write. Nothing
        of what a method was to write is then written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.clock = clock
        with self._errors():
            refuse_pipe(path)
            with storage_errors(path):
                touch(path)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                write_ahead(self._connection)
                # What a device was told survives a power cut.
                self._connection.execute("PRAGMA synchronous = FULL")
                self._migrate()
            except BaseException:
                self._connection.close()
                raise
        self._file = _identity(path)
        self._seen = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def changed(self) -> bool:
        """Say whether another process has changed something since this was asked last.

        Raises
        ------
        TrustError
            Also if another file has taken the place of this one, or it was deleted: what others
            write is not seen any more, and who they shut out would stay in.
        """
        if _identity(self.path) != self._file:
            raise TrustError(
                f"The list of members {self.path} was replaced while it was in use.",
                "Start `aggregator serve` again.",
            )
        with self._errors():
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        before, self._seen = self._seen, version
        return version != before

    def facts(self) -> dict[str, str]:
        """Give what `aggregator serve` has written down for the other commands."""
        return dict(self._rows("SELECT name, value FROM facts"))

    def note(self, **facts: str) -> None:
        """Write down what the other commands need to know."""
        with self.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    def joined(self) -> dict[str, Member]:
        """Give everybody who has joined, by name."""
        rows = self._rows("SELECT name, key, since, succession FROM members ORDER BY name")
        return {
            name: Member(name, PublicKey(key), since, _statements(succession))
            for name, key, since, succession in rows
        }

    def invitations(self) -> dict[str, Invitation]:
        """Give the last invitation of each name."""
        query = "SELECT name, code, secret, expires, used_by, half FROM invitations ORDER BY name"
        return {
            name: Invitation(name, code, secret, expires, PublicKey(key) if key else None, half)
            for name, code, secret, expires, key, half in self._rows(query)
        }

    def account(self, username: str) -> Account | None:
        """Give the account of a user."""
        query = "SELECT kind, name, digest FROM accounts WHERE username = ?"
        rows = self._rows(query, username)
        return Account(*rows[0]) if rows else None

    def put_account(self, username: str, kind: AccountKind, name: str, password: str) -> None:
        """Let a user in with this password from now on, and with no other."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO accounts (username, kind, name, digest) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (username) DO UPDATE SET digest = excluded.digest",
                (username, kind, name, digest_of(password.encode())),
            )
            connection.execute("DELETE FROM revoked WHERE username = ?", (username,))

    def accounts(self) -> list[tuple[str, AccountKind, str, bytes, bytes | None]]:
        """Give all accounts: user, kind, name, and the password's digest, as it is and as told."""
        return self._rows("SELECT username, kind, name, digest, told FROM accounts")

    def told(self, username: str, digest: bytes) -> None:
        """Write down that a broker which is not ours has an account with this password."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE accounts SET told = ? WHERE username = ?", (digest, username)
            )

    def revoked(self) -> dict[str, str]:
        """Give users who were shut out, and whose accounts another broker may have, with names."""
        return dict(self._rows("SELECT username, name FROM revoked"))

    def removed(self, username: str) -> None:
        """Write down that no broker has the account of somebody who was shut out."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM revoked WHERE username = ?", (username,))

    def heard(self) -> dict[tuple[str, str], int]:
        """Give the highest number that was heard, by member and kind of message."""
        rows = self._rows("SELECT name, kind, number FROM heard")
        return {(name, kind): number for name, kind, number in rows}

    def hear(self, numbers: Mapping[tuple[str, str], int]) -> None:
        """Write down the highest numbers that were heard of members."""
        with self.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO heard SELECT name, ?, ? FROM members WHERE name = ?",
                [(kind, number, name) for (name, kind), number in numbers.items()],
            )

    def add(self, name: str, key: PublicKey, succession: Sequence["Successor"] = ()) -> None:
        """Make a device a member, or give a member another key; its old messages are forgotten.

        Parameters
        ----------
        name
            The device.
        key
            What it signs with.
        succession
            How that came after keys that it had before, the oldest first.
        """
        said = json.dumps([statement.model_dump() for statement in succession])
        with self.transaction() as connection:
            connection.execute("DELETE FROM heard WHERE name = ?", (name,))
            connection.execute(
                "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?)",
                (name, key.raw, self.clock(), said),
            )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of it or nothing; a transaction within one is part of it."""
        connection = self._connection
        if connection.in_transaction:
            yield connection
            return
        with self._errors():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    def _migrate(self) -> None:
        version: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_MIGRATIONS):
            raise TrustError(
                f"{self.path} was written by a newer version of chorus-edge.",
                "Install that version again.",
            )
        for number in range(version, len(_MIGRATIONS)):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {_MIGRATIONS[number]} "
                f"PRAGMA user_version = {number + 1}; COMMIT;"
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what SQLite says of the file into our errors."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith(NO_ROOM):
                raise StorageError.full_disk(self.path) from error
            raise StorageError(f"Cannot use {self.path}: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise TrustError(
                f"The list of members {self.path} is damaged ({error}).",
                "Bring the file back from a copy.",
            ) from error


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell a file from others that have its name later; ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _statements(said: str) -> tuple["Successor", ...]:
    from shared.protocol.fields import Successor

    return tuple(Successor.model_validate(statement) for statement in json.loads(said))


def digest_of(password: bytes) -> bytes:
    """Compute what is kept of a password; it has too many random bits to be guessed from that."""
    return hashlib.sha256(password).digest()

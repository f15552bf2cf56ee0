"""What a device keeps of a federation that it has joined: keys, account, and what it heard last.

It lies in a folder of its own, beside the model: it is not made of what the device has heard, and
stays when that is deleted.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_client.enrolment.acquaintances import Acquaintances
from edge_client.secure.identity import Identity
from shared.errors import TrustError
from shared.protocol.fields import LARGEST_ISSUED, Bytes32, Name, Successor
from shared.protocol.topics import Topics
from shared.storage.files import read_file, replacing
from shared.trust.counter import Counter, Highest
from shared.trust.issuing import Root
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.signing import counter_of, signed
from shared.trust.succession import signer_of

log = logging.getLogger(__name__)


class Joined(BaseModel):
    """What a device was told when it joined."""

    model_config = ConfigDict(extra="forbid")

    federation: Name
    """The federation."""
    name: Name
    """What the device is called in it."""
    aggregator: Bytes32
    """The aggregator's public key."""
    root: Bytes32 | None = None
    """That of the root above it, if the device was invited with one."""
    issued: Annotated[int, Field(ge=0, le=LARGEST_ISSUED)] = 0
    """The number of the aggregator's key, if a root has issued it."""
    link: str = ""
    """SHA-256 of the link that it has joined with."""

    @classmethod
    def read(cls, path: Path) -> "Joined":
        """Read what was kept.

        Raises
        ------
        TrustError
            If it cannot be read.
        """
        try:
            return cls.model_validate_json(read_file(path))
        except (OSError, ValidationError) as error:
            raise TrustError(
                f"What this device knows of a federation that it has joined cannot be read: "
                f"{path}.",
                "Bring the file back from a copy, or join anew (`aggregator invite NAME --again`).",
            ) from error


class MembershipFolder:
    """Names what lies in the folder.

    Parameters
    ----------
    path
        The folder.

    Attributes
    ----------
    key
        What the device signs with.
    joined
        What it was told when it joined; there last of all.
    counter, heard
        Numbers used in signatures; the highest of the aggregator's announcements. With a root it is
        of the aggregator's present key, which :meth:`heard_of` names.
    password, authority
        What it reaches the broker with.
    others, given
        Whose keys it knows of other devices; in which secure rounds it has given an update.
    pending, guest
        What it asks to join with, and the password for that, until it is answered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = path / "key.pem"
        self.joined = path / "joined.json"
        self.counter = path / "counter"
        self.heard = path / "heard"
        self.password = path / "password"
        self.authority = path / "ca.crt"
        self.others = path / "others.json"
        self.given = path / "given.json"
        self.pending = path / "pending.json"
        self.guest = path / "guest"

    def heard_of(self, joined: Joined) -> Path:
        """Name the file of the highest number of announcements.

        Each key that a root has issued has its own: one that was stolen may have signed with the
        highest number there is, and must not keep the next one from being heard.
        """
        return self.heard.with_name(f"heard-{joined.issued}") if joined.root else self.heard


class Membership:
    """A device's membership in a federation.

    Parameters
    ----------
    folder
        Where it is kept.

    Attributes
    ----------
    joined
        What it was told when it joined.

    Raises
    ------
    TrustError
        If what is kept cannot be used.
    """

    def __init__(self, folder: MembershipFolder) -> None:
        self._folder = folder
        self.joined = Joined.read(folder.joined)
        self._topics = Topics(self.joined.federation)
        self._key = SecretKey.read(folder.key)
        self._counter = Counter(folder.counter)
        self._heard = Highest(folder.heard_of(self.joined))

    @classmethod
    def find(cls, folder: Path) -> "Membership | None":
        """Give the membership that is kept in a folder; ``None`` if the device has not joined."""
        place = MembershipFolder(folder)
        return cls(place) if place.joined.exists() else None

    @property
    def if_shut_out(self) -> str:
        """What to do where the broker does not know the device."""
        return (
            "This device was shut out of the federation, or another one has joined in its place. "
            f"`aggregator invite {self.joined.name} --again` makes a link to join anew."
        )

    @property
    def given(self) -> Path:
        """The file of the secure rounds that it has given an update in."""
        return self._folder.given

    def among(
        self,
        invited: Mapping[str, PublicKey],
        at_least: int,
        most_new: int | None,
        renewed: Mapping[str, Sequence[Successor]],
    ) -> Identity:
        """Give who this device is among those invited to a secure round.

        Parameters
        ----------
        invited
            The lasting keys of all of them, by the aggregator's word.
        at_least
            Fewest others that its update is summed with.
        most_new
            How many of them it may know by that word alone; ``None``: any number.
        renewed
            What earlier keys have said of the next ones, by device.

        Raises
        ------
        SecureError
            If it knows one of them by another key, or too few of them.
        TrustError
            If what it knows cannot be read.
        StorageError
            If the disk is full.
        """
        name = self.joined.name
        others = {other: key for other, key in invited.items() if other != name}
        known = Acquaintances(self._folder.others).meet(others, most_new, renewed)
        return Identity(name, self._key, {**known, name: self._key.public}, at_least)

    def sign(self, topic: str, message: bytes) -> bytes:
        """Sign a message for a topic.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        return signed(self._key, topic, message, self._counter.next())

    def check(self, topic: str, payload: bytes) -> None:
        """Check that the aggregator has signed a message for a topic; no announcement may be old.

        Raises
        ------
        TrustError
            If not.
        StorageError
            If the disk is full: what was heard could not be remembered.
        """
        what = "An announcement" if topic == self._topics.round else "An answer"
        where = f"of the federation {self.joined.federation}"
        try:
            believed, counter = self._believed(topic, payload)
        except TrustError as error:
            raise TrustError(
                f"{what} {where} is not from the aggregator that this device has joined, and is "
                f"left aside. {error.problem}",
                "If that aggregator was put back from a copy, its key may be an earlier one: "
                "`aggregator keys rotate --issued`."
                if self.joined.root
                else "If that aggregator was set up anew, ask for another link (`aggregator "
                "invite`).",
            ) from error
        same = self._folder.heard_of(believed) == self._folder.heard_of(self.joined)
        heard = self._heard if same else Highest(self._folder.heard_of(believed))
        if topic == self._topics.round and not heard.take(counter):
            raise TrustError(
                f"An announcement {where} is older than the last one, and is left aside.",
                "Somebody has kept it. If the aggregator was put back from a copy, look at its "
                "clock.",
            )
        if believed != self.joined:
            self._follow(believed, heard)

    def _believed(self, topic: str, payload: bytes) -> tuple[Joined, int]:
        """Check who has signed a message; give what is believed then, and its counter."""
        joined, key = self.joined, PublicKey.of(self.joined.aggregator)
        if joined.root is None:
            key, counter = signer_of(key, topic, payload)
            return joined.model_copy(update={"aggregator": str(key)}), counter
        try:
            return joined, counter_of(key, topic, payload)
        except TrustError:
            root = Root(PublicKey.of(joined.root), joined.federation)
            issued, counter = root.signer_of(joined.issued + 1, topic, payload)
            update = {"aggregator": issued.key, "issued": issued.number}
            return joined.model_copy(update=update), counter

    def _follow(self, believed: Joined, heard: Highest) -> None:
        """Believe the aggregator's next key from now on, and the one before no more."""
        key = PublicKey.of(believed.aggregator)
        log.info("The federation %s has a new key, %s.", believed.federation, key.short)
        write(self._folder.joined, believed)
        before = self._folder.heard_of(self.joined)
        self.joined, self._heard = believed, heard
        if before != self._folder.heard_of(believed):
            with suppress(OSError):  # it is of no use any more, and does no harm
                before.unlink()


def write(path: Path, value: BaseModel) -> None:
    """Write what is kept, for nobody else to read; raises :class:`StorageError` as files do."""
    with replacing(path, 0o600) as aside:
        aside.write_text(value.model_dump_json(indent=2, exclude_none=True) + "\n")

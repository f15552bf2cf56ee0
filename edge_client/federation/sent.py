"""What has left a device for one federation, written down before it goes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import FederationError
from shared.protocol.fields import MOST_EXAMPLES, RoundNumber, Size
from shared.protocol.messages import Offer
from shared.storage.files import read_file, write_atomically

_FILE: Final = "sent.json"

LISTED: Final = 100
"""Updates that are listed one by one; older ones are part of the sums alone."""

_SHOWN: Final = 10
"""Updates that the device's screens list."""


class SentUpdate(BaseModel):
    """An update that was sent, or begun to be."""

    model_config = ConfigDict(frozen=True)

    update: str
    """SHA-256 of its file."""
    round: RoundNumber
    """Its round."""
    at: datetime
    """When it was offered first, by the device's clock."""
    bytes: Size
    """Length of its file."""
    codec: str
    """How it was encoded."""
    examples: Annotated[int, Field(ge=1, le=MOST_EXAMPLES)]
    """Number of examples that the aggregator was told."""
    scored: Annotated[int, Field(ge=0, le=MOST_EXAMPLES)]
    """Number of examples in the table of what the round's model recognised; 0 without one."""


class SentUpdates(BaseModel):
    """All that was sent; see :class:`Sent`."""

    model_config = ConfigDict(frozen=True)

    updates: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """How many updates were sent."""
    bytes: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """The sum of their lengths."""
    latest: tuple[SentUpdate, ...] = ()
    """The newest of them, at most :data:`LISTED`, the newest first."""

    def to_dict(self, latest: int = LISTED) -> dict[str, Any]:
        """Give it as JSON has it, with so many of the newest updates."""
        shorter = self.model_copy(update={"latest": self.latest[:latest]})
        return shorter.model_dump(mode="json")


class Sent:
    """Keeps the list in the folder of a device's part in a federation.

    Parameters
    ----------
    folder
        The folder; the list is deleted with it.

    Attributes
    ----------
    updates
        What was sent so far.
    shown
        The same for the device's screens, as JSON has it, with the newest updates alone.

    Raises
    ------
    FederationError
        If the list cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._have(sent_updates(folder))

    def note(self, offer: Offer) -> None:
        """Write down that an update is about to be sent, once however often that is.

        Raises
        ------
        StorageError
            If the disk is full; it must not be sent then.
        """
        known = self.updates
        if any(each.update == offer.update and each.round == offer.round for each in known.latest):
            return
        new = SentUpdate(
            update=offer.update,
            round=offer.round,
            at=datetime.now(UTC).replace(microsecond=0),
            bytes=offer.size,
            codec=offer.codec,
            examples=offer.examples,
            scored=sum(map(sum, offer.confusion or ())),
        )
        noted = SentUpdates(
            updates=known.updates + 1,
            bytes=known.bytes + offer.size,
            latest=(new, *known.latest)[:LISTED],
        )
        write_atomically(self._path, noted.model_dump_json())
        self._have(noted)

    def _have(self, updates: SentUpdates) -> None:
        self.updates = updates
        # Made once, and not for every report of what the device is doing.
        self.shown = updates.to_dict(_SHOWN)


def sent_updates(folder: Path) -> SentUpdates:
    """Read what was sent to a federation, from the folder of a device's part in it.

    Raises
    ------
    FederationError
        If the list cannot be read.
    """
    path = folder / _FILE
    try:
        return SentUpdates.model_validate_json(read_file(path))
    except FileNotFoundError:
        return SentUpdates()
    except (OSError, ValidationError) as error:
        raise FederationError(
            f"The list of what this device has sent cannot be read: {path}.",
            "Remove the file: the device then begins a new list.",
        ) from error

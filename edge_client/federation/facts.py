"""What a device remembers of the runs that it has a part in, in one small JSON file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.errors import FederationError
from shared.protocol.messages import Offer
from shared.storage.files import read_file, write_atomically


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A finished update that the aggregator has not decided on.

    Attributes
    ----------
    offer
        What it is offered with.
    residual, control
        Names of the files that take effect when it is accepted; ``None`` where there are none.
        Without a residual, nothing was left out; a control variate stays as it was without one.
    learned
        Keys of the examples that it was made of, those held out among them.
    """

    offer: Offer
    residual: str | None = None
    control: str | None = None
    learned: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is remembered of one run of a federation.

    Attributes
    ----------
    run
        Which; empty before the first.
    done
        The last round in which an update of this device was decided on.
    accepted
        How many of its updates counted.
    residual, control
        Names of the files of what its last updates left for the next; ``None`` where there are
        none.
    outgoing
        The finished update that is not decided on.
    counted
        What the last update that counted was offered with.
    learned
        Keys of the examples that it was made of.
    lacks
        How many more examples the device waits for.
    objection
        What its owner's terms do not allow, a sentence; empty if there is nothing.
    budget
        How much models tell of it at most; ``None`` if nothing was said of that.
    model
        Digest of the global model that the device has; empty before the first.
    refused
        Why the last update did not count; empty if it did.
    """

    run: str = ""
    done: int = 0
    accepted: int = 0
    residual: str | None = None
    control: str | None = None
    outgoing: Outgoing | None = None
    counted: Offer | None = None
    learned: Sequence[int] = ()
    lacks: int = 0
    objection: str = ""
    budget: str | None = None
    model: str = ""
    refused: str = ""

    @property
    def worth_keeping(self) -> bool:
        """Whether anything was done in the run."""
        heard = Facts(
            run=self.run,
            lacks=self.lacks,
            objection=self.objection,
            budget=self.budget,
            model=self.model,
        )
        return self != heard

    @property
    def files(self) -> set[str]:
        """Names of the files that the run still needs, but for models."""
        names = {self.residual, self.control}
        if outgoing := self.outgoing:
            names |= {outgoing.residual, outgoing.control, f"{outgoing.offer.update}.update"}
        return {name for name in names if name}


def read_facts(path: Path) -> tuple[Facts, tuple[Facts, ...]]:
    """Read what is remembered of the present run, and of those that are set aside.

    Raises
    ------
    FederationError
        If it cannot be read.
    """
    try:
        values = json.loads(read_file(path))
        aside = tuple(_one(each) for each in values.pop("aside", ()))
        return _one(values), aside
    except FileNotFoundError:
        return Facts(), ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FederationError(
            f"What this device remembers of its federation cannot be read: {path}.",
            "Remove the file: the device then begins anew with the current round.",
        ) from error


def write_facts(path: Path, facts: Facts, aside: Sequence[Facts]) -> None:
    """Write what is remembered, whole or not at all.

    Raises
    ------
    StorageError
        If the disk is full.
    """
    values = asdict(facts) | {"aside": [asdict(each) for each in aside]}
    write_atomically(path, json.dumps(values, default=_plain))


def _one(values: dict[str, Any]) -> Facts:
    outgoing = values.pop("outgoing")
    if outgoing:
        offer = Offer.model_validate(outgoing.pop("offer"))
        values["outgoing"] = Outgoing(offer, **outgoing)
    if counted := values.get("counted"):
        values["counted"] = Offer.model_validate(counted)
    return Facts(**values)


def _plain(offer: Offer) -> dict[str, Any]:
    return offer.model_dump(mode="json", exclude_none=True)

"""What a device remembers of a federation, so that no crash loses an update or sends one twice.

One small JSON file says which of the files beside it matter; it is replaced as a whole, so each
step either has happened or has not. A finished update is kept until the aggregator has decided on
it; what a lossy codec left out of it becomes the residual only when it counts.

What belongs to another run is set aside, not removed: whoever can forge an announcement would cost
a device all that it keeps. It comes back when its run is announced again.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edge_client.federation.facts import Facts, Outgoing, read_facts, write_facts
from edge_client.federation.sent import Sent
from shared.errors import FederationError
from shared.protocol.messages import Offer
from shared.storage.files import replacing, sha256_of, storage_errors
from shared.vector_file import VectorFile
from shared.weights import Vector, Weights

_FILE: Final = "federation.json"

MOST_ASIDE: Final = 2
"""Runs that are remembered besides the present one; each may keep three files of a model's size."""


class ClientState:
    """The folder of one device's part in a federation.

    Parameters
    ----------
    folder
        Where everything lies; made if it is not there and there is room.

    Attributes
    ----------
    sent
        What has left the device.

    Raises
    ------
    FederationError
        If what lies there cannot be read.
    StorageError
        From the methods that write, if the disk is full; what was before then stays.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with suppress(OSError):  # on a full disk whoever writes makes it, when there is room
            folder.mkdir(parents=True, exist_ok=True)
        self._facts, self._aside = read_facts(folder / _FILE)
        self.sent = Sent(folder)
        # The work of a round ends in a thread of its own: each change of the facts holds the lock
        # from reading them to writing them.
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        for pattern in (".*-*.*", "*.update.part"):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)  # what a killed process was making
        self._sweep()

    @property
    def accepted(self) -> int:
        """How many of this device's updates counted, in all rounds of the run."""
        return self._facts.accepted

    @property
    def outgoing(self) -> Outgoing | None:
        """The finished update; ``None`` if there is none."""
        return self._facts.outgoing

    @property
    def offer(self) -> Offer | None:
        """What the finished update is offered with; ``None`` if there is none."""
        outgoing = self._facts.outgoing
        return outgoing.offer if outgoing else None

    @property
    def counted(self) -> Offer | None:
        """What the last update was offered with that counted; ``None`` before the first."""
        return self._facts.counted

    @property
    def learned(self) -> Sequence[int]:
        """Keys of the examples that the last update that counted was made of."""
        return self._facts.learned

    @property
    def update(self) -> Path:
        """The file of the finished update."""
        offer = self.offer
        if offer is None:
            raise ValueError("there is no finished update")
        return self._update(offer)

    def intact(self, offer: Offer | None = None) -> bool:
        """Say whether a finished update's file can be read, and is what it is offered as.

        Reads all of it; may be called from another thread.

        Parameters
        ----------
        offer
            What it is offered with; the finished update's, if not given.
        """
        offer = offer or self.offer
        if offer is None:
            return False
        try:
            return sha256_of(self._update(offer)) == offer.update
        except OSError:
            return False

    def path(self, digest: str) -> Path:
        """Name the file of a global model or control variate."""
        return self.folder / f"{digest}.safetensors"

    def part(self, digest: str) -> Path:
        """Name the file of a model while it arrives."""
        return self.folder / f"{digest}.safetensors.part"

    def is_done(self, run: str, number: int) -> bool:
        """Say whether the aggregator has decided on this device's update of a round."""
        return run == self._facts.run and number <= self._facts.done

    def enter(self, run: str) -> bool:
        """Begin with a run of the federation, or go on with it; say whether it was another before.

        What belongs to the run before is set aside. If that is too much, the run goes in which the
        fewest updates counted: one that somebody has made up has none.
        """
        with self._lock:
            if run == self._facts.run:
                return False
            known = {facts.run: facts for facts in (*self._aside, self._facts)}
            entered = known.pop(run, Facts(run=run))
            kept = [facts for facts in known.values() if facts.worth_keeping]
            while len(kept) > MOST_ASIDE:
                kept.remove(min(kept, key=lambda facts: facts.accepted))
            self._write(entered, tuple(kept))
        return True

    def do_again(self) -> None:
        """Take the rounds for undone that this device had an update in: none counts any more."""
        self._change(done=0, counted=None, learned=())

    def unlearn(self, forgotten: Iterable[tuple[int, int]]) -> None:
        """Take the examples of the last update for new, if the model is not made of its round.

        Parameters
        ----------
        forgotten
            The first and the last round of each row that the model is not made of.
        """
        with self._lock:
            counted = self._facts.counted
            if counted is None or counted.run != self._facts.run:
                return
            if any(first <= counted.round <= last for first, last in forgotten):
                self._change(learned=())

    def note(self, lacks: int, objection: str = "", budget: str | None = None) -> None:
        """Keep how the device stands to what is announced, for who asks how it is.

        Parameters
        ----------
        lacks
            How many more examples it waits for.
        objection
            What its owner's terms do not allow, a sentence; empty if there is nothing.
        budget
            How much models tell of it at most; ``None`` if nothing was said of that.
        """
        self._change(lacks=lacks, objection=objection, budget=budget)

    def use(self, model: str) -> None:
        """Keep the digest of the global model that the device has, for who asks how it is."""
        self._change(model=model)

    def residual(self, parameters: int) -> Vector | None:
        """Open what the codec left out of the last update that counted.

        Raises
        ------
        FederationError
            If its file is missing, or not of so many values; so does :meth:`control`.
        """
        return self._vector(self._facts.residual, parameters)

    def control(self, parameters: int) -> Vector | None:
        """Open SCAFFOLD's control variate of this client; ``None`` before an update counted."""
        return self._vector(self._facts.control, parameters)

    def write_update(self, write: Callable[[Path], object]) -> tuple[str, int]:
        """Write an update's file, for :meth:`finish` to keep; may be called from another thread.

        Parameters
        ----------
        write
            Writes the file.

        Returns
        -------
        str, int
            Its SHA-256, and its bytes.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        path = self.folder / "new.update.part"
        with self._writing, storage_errors(path):
            write(path)
            digest, size = sha256_of(path), path.stat().st_size
            path.replace(self._written(digest))
        return digest, size

    def finish(
        self,
        offer: Offer,
        *,
        residual: Weights | None,
        control: Weights | None,
        learned: Sequence[int] = (),
    ) -> None:
        """Keep an update that :meth:`write_update` has written, until it is decided on.

        May be called from another thread. If meanwhile another run was entered, or everything was
        to be forgotten, it is dropped.

        Parameters
        ----------
        offer
            What it is offered with.
        residual, control
            What takes effect when it is accepted.
        learned
            Keys of the examples that it was made of.
        """
        written = self._written(offer.update)
        with self._lock:
            try:
                if offer.run != self._facts.run or not written.exists():
                    return
                kept: dict[str, str] = {}
                for name, vector in (("residual", residual), ("control", control)):
                    if vector is not None:
                        kept[name] = f"{offer.update}.{name}"
                        with replacing(self.folder / f"{offer.update}.{name}") as aside:
                            VectorFile.write(aside, vector)
                written.replace(self._update(offer))
                self._change(outgoing=Outgoing(offer, learned=learned, **kept))
            finally:
                written.unlink(missing_ok=True)

    def decide(self, *, refused: str = "", foreign: bool = False) -> None:
        """Learn what became of the finished update: it counts, or was ``refused``.

        Parameters
        ----------
        refused
            Why it does not count.
        foreign
            Whether it was of no round of this federation; then no round is done.
        """
        with self._lock:
            outgoing = self._facts.outgoing
            if outgoing is None:
                return
            done = self._facts.done if foreign else outgoing.offer.round
            facts = replace(self._facts, done=done, outgoing=None, refused=refused)
            if not refused:
                facts = replace(
                    facts,
                    counted=outgoing.offer,
                    accepted=facts.accepted + 1,
                    # Each update recalls what the one before left out: none was left if none is.
                    residual=outgoing.residual,
                    control=outgoing.control or facts.control,
                    learned=outgoing.learned,
                )
            self._write(facts)

    def keep_only(self, *digests: str) -> None:
        """Remove the files of models that are not current any more."""
        kept = {self.path(digest).name for digest in digests}
        for path in self.folder.glob(f"{'?' * 64}.safetensors*"):
            if path.name.partition(".part")[0] not in kept:
                path.unlink(missing_ok=True)

    def _update(self, offer: Offer) -> Path:
        return self.folder / f"{offer.update}.update"

    def _written(self, digest: str) -> Path:
        """Name an update's file before it is kept: nothing sweeps it away meanwhile."""
        return self.folder / f"{digest}.update.part"

    def _vector(self, name: str | None, parameters: int) -> Vector | None:
        if name is None:
            return None
        path = self.folder / name
        if not path.is_file() or path.stat().st_size != VectorFile.bytes_of(parameters):
            raise FederationError(
                f"What this device keeps for its next update is missing or damaged: {path}.",
                f"Remove {self.folder / _FILE}: the device then begins anew with the current "
                "round.",
            )
        return VectorFile(path, parameters)

    def _change(self, **values: Any) -> None:
        """Write the facts with other values, unless these are the same."""
        with self._lock:
            facts = replace(self._facts, **values)
            if facts != self._facts:
                self._write(facts)

    def _write(self, facts: Facts, aside: tuple[Facts, ...] | None = None) -> None:
        """Write the facts; whoever calls it holds the lock."""
        aside = self._aside if aside is None else aside
        write_facts(self.folder / _FILE, facts, aside)
        self._facts, self._aside = facts, aside
        self._sweep()

    def _sweep(self) -> None:
        """Remove what no step needs any more, and what a killed process has left."""
        kept = {name for facts in (self._facts, *self._aside) for name in facts.files}
        for pattern in ("*.update", "*.residual", "*.control"):
            for path in self.folder.glob(pattern):
                if path.name not in kept:
                    path.unlink(missing_ok=True)


def remembered(folder: Path) -> dict[str, Any]:
    """Say what a folder remembers, for a status; nothing in it is changed.

    Raises
    ------
    FederationError
        If it cannot be read.
    """
    facts, _ = read_facts(folder / _FILE)
    model = folder / f"{facts.model}.safetensors"
    return {
        "round": facts.done,
        "accepted": facts.accepted,
        "refused": facts.refused or None,
        "waiting": facts.outgoing is not None,
        "lacks": facts.lacks,
        "objection": facts.objection or None,
        "budget": facts.budget,
        "model": facts.model if model.exists() else None,
    }

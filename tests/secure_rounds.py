"""Devices and an aggregator of a secure round in one process; tests carry their messages."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from aggregator.secure.journal import Journal
from aggregator.secure.round import SecureRound
from edge_client.secure.client import SecureClient
from edge_client.secure.given import GivenRounds
from edge_client.secure.identity import Identity
from shared.secure.masks import Numbers, reduced
from shared.secure.terms import Stage, Terms
from shared.trust.keys import SecretKey

TERMS = Terms("chorus", "0" * 32, 1, length=5, bits=12)

STAGES = (Stage.KEYS, Stage.SHARES, Stage.MASKED, Stage.CONSENT, Stage.UNMASKING)


def names(count: int) -> list[str]:
    return [f"device-{number:02}" for number in range(count)]


def lasting_key(name: str) -> SecretKey:
    return SecretKey(hashlib.sha256(name.encode()).digest())


def drawing(seed: str) -> Callable[[int], bytes]:
    """Give bytes that look random and are the same each time."""
    count = 0

    def draw(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(f"{seed} {count}".encode()).digest(size)

    return draw


def update_of(terms: Terms, name: str) -> Numbers:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return np.random.default_rng(seed).integers(1 << terms.bits, size=terms.length, dtype=np.uint32)


def plain_sum(terms: Terms, devices: Iterable[str]) -> Numbers:
    total = np.zeros(terms.length, np.uint32)
    for name in devices:
        total += update_of(terms, name)
    return reduced(total, terms.bits)


class Federation:
    """So many devices, and their aggregator."""

    def __init__(
        self, folder: Path, count: int, terms: Terms = TERMS, *, at_least: int = 2
    ) -> None:
        self.terms = terms
        self.folder = folder
        self.known = {name: lasting_key(name).public for name in names(count)}
        self.clients = {name: self.client(name, at_least) for name in self.known}
        self.round = self.begun()

    def client(self, name: str, at_least: int = 2) -> SecureClient:
        identity = Identity(name, lasting_key(name), self.known, at_least)
        given = GivenRounds(self.folder / f"{name}.json")
        return SecureClient(self.terms, identity, given, drawing(name))

    def begun(self) -> SecureRound:
        """Make the aggregator's side, or make it again."""
        return SecureRound(self.terms, self.known, Journal(self.folder / "journal"))

    def answer(self, name: str, stage: Stage, asked: bytes) -> bytes:
        return answer(self.clients[name], stage, asked, update_of(self.terms, name))

    def asked(self, name: str) -> bytes:
        return b"" if self.round.stage is Stage.KEYS else self.round.ask(name)

    def stage(self, gone: Iterable[str] = ()) -> None:
        """Take one stage, without some devices, to its end."""
        for name in sorted(self.round.awaited - set(gone)):
            self.round.take(name, self.answer(name, self.round.stage, self.asked(name)))
        self.round.close()

    def run(
        self, gone: Mapping[Stage, Iterable[str]] | None = None, until: Stage = Stage.DONE
    ) -> None:
        """Take all stages; a device that is gone at one says nothing from then on."""
        away: set[str] = set()
        while self.round.stage not in (until, Stage.DONE, Stage.ABANDONED):
            away |= set((gone or {}).get(self.round.stage, ()))
            self.stage(away)


def answer(client: SecureClient, stage: Stage, asked: bytes, update: Numbers) -> bytes:
    """Let a device answer at a stage."""
    match stage:
        case Stage.KEYS:
            return client.keys()
        case Stage.SHARES:
            return client.shares(asked)
        case Stage.MASKED:
            return client.masked(asked, update)
        case Stage.CONSENT:
            return client.consent(asked)
        case _:
            return client.reveal(asked)

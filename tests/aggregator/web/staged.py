"""A federation with a past, made up, in a real ledger with real models' files."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aggregator.enrolment.members import Members
from aggregator.ledger import CheckedUpdate, Model
from aggregator.ledger.folder import FederationFolder
from aggregator.rounds.federation import Federation
from aggregator.settings import AggregatorSettings
from shared.mqtt.broker_settings import BrokerSettings
from shared.randomness import stream
from shared.trust.keys import SecretKey
from shared.weights import initial_weights
from tests.clock import Clock

NAMES = ("kitchen", "desk", "hall", "workshop", "attic")
ROUND_SECONDS = 600.0
MODEL = "tdnn"
"""A tenth of the default's weights, and of its files: a test's past has a dozen of them."""
HOUR = 3600.0


def names_of(devices: int) -> tuple[str, ...]:
    """Name so many devices."""
    return NAMES[:devices] + tuple(f"pi-{number:03}" for number in range(len(NAMES), devices))


def settings_of(folder: Path, devices: int) -> AggregatorSettings:
    return AggregatorSettings.parse(
        {
            "state": folder,
            "model": MODEL,
            "quorum": max(1, devices - 2),
            "round_seconds": ROUND_SECONDS,
            "rounds": 100,
        }
    )


def stage(folder: Path, devices: int = 5, rounds: int = 12, *, answered: int = 2) -> None:
    """Write the past of a federation; its last round is open, and some have answered.

    Parameters
    ----------
    folder
        The state folder.
    devices, rounds
        How many; the last round is open.
    answered
        Devices that have sent their update of the last round.
    """
    clock = Clock(time.time())
    end, names = clock.now, names_of(devices)
    clock.now = end - rounds * 4 * HOUR
    settings = settings_of(folder, devices)
    with Federation(settings, clock=clock) as federation:
        ledger = federation.ledger
        for number in range(1, rounds + 1):
            last = number == rounds
            clock.now = end - (200 if last else (rounds - number) * 4 * HOUR)
            wanted = max(1, devices - 1)
            begun = settings.model_dump(mode="json")
            ledger.open_round(number, sorted(names), wanted, begun)
            present = names[:answered] if last else names[: max(1, devices - (number % 2))]
            for place, name in enumerate(present):
                clock.now += 100 / len(present)
                ledger.see(name, bytes_up=50_000 + 90 * place, bytes_down=190_000)
                ledger.accept(_update(number, rounds, name, place))
            if number == rounds // 2:
                ledger.refuse(
                    names[-1], "invalid", "The update's norm is 3120.5, and the largest is 1000.",
                    number, "ab" * 32,
                )  # fmt: skip
            if last:
                break
            ledger.close_round(number)
            confusion = np.sum([_counts(number, rounds, place) for place in range(devices)], 0)
            weights = initial_weights(federation.architecture, stream(number, "staged"))
            digest = federation.files.add_weights(weights)
            ledger.finish_round(
                number,
                Model(digest=digest, bytes=federation.files.size(digest)),
                loss=1.386 * float(np.exp(-number / 9)),
                confusion=confusion.tolist(),
                seconds=0.4,
            )
            if number == rounds - 3 > 2:
                ledger.roll_back(ledger.find(number - 1))


def enrol(folder: FederationFolder, names: Sequence[str]) -> None:
    """Make it a federation by invitation, in which these have joined."""
    SecretKey.kept(folder.key)
    broker = BrokerSettings(host="192.0.2.7", tls=True, fingerprint="ab" * 32)
    with Members(folder.members) as members:
        members.note(
            federation="chorus",
            accounts="embedded",
            broker=broker.model_dump_json(),
            host=broker.host,
        )
        for number, name in enumerate(names):
            members.add(name, SecretKey(bytes([number]) * 32).public)


def enter(federation: Federation, devices: int = 5) -> None:
    """Let the devices say hello; the last of them was there two days ago."""
    clock, names = Clock(time.time()), names_of(devices)
    federation.ledger._clock = clock
    for place, name in enumerate(names):
        gone = place == len(names) - 1 > 0
        clock.now = time.time() - (50 * HOUR if gone else 5 * place % 60)
        federation.ledger.see(
            name,
            present=not gone,
            trains=place != 3,
            examples=12 + 7 * (place % 9),
            supply="enough" if place != 3 else "some",
            software="chorus-edge 0.2.0",
        )
        if not gone and place != 3:
            federation.rounds.present.come(name)
    federation.ledger.flush()


def _update(number: int, rounds: int, name: str, place: int) -> CheckedUpdate:
    codec = "float32" if place % 5 == 4 else "int8"
    return CheckedUpdate(
        round=number,
        client=name,
        digest=f"{number:032x}{place:032x}",
        bytes=195_000 if codec == "float32" else 51_000,
        codec=codec,
        examples=12 + place % 9,
        norm=1.5,
        loss=1.2,
        confusion=_counts(number, rounds, place).tolist(),
    )


def _counts(number: int, rounds: int, place: int) -> NDArray[np.int64]:
    """Draw counts that grow better with the rounds."""
    rng = stream(number, "counts", place)
    right = 0.3 + 0.45 * (1 - np.exp(-4 * number / rounds)) + 0.1 * rng.random()
    rows = [np.full(4, (1 - right) / 3) for _ in range(4)]
    for row in range(4):
        rows[row][row] = right
    return np.stack([rng.multinomial(8, row / row.sum()) for row in rows])

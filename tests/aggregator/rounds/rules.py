"""What tests of the rules of rounds share: their settings, and clients that come."""

from typing import Any

from aggregator.rounds.synchronous import Step, SynchronousRounds
from aggregator.settings import AggregatorSettings
from tests.aggregator.driver import UNPACED

NAMES = [f"client-{number:05d}" for number in range(8)]


def rules(**values: Any) -> AggregatorSettings:
    return AggregatorSettings.parse({"rounds": 3, "round_seconds": 60, **UNPACED, **values})


def come(rounds: SynchronousRounds, client: str, now: float) -> Step:
    rounds.present.come(client)
    return rounds.look(now)

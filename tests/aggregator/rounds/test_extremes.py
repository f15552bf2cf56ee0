"""Settings at their bounds: each is refused in a sentence, or can be announced."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import annotated_types
import pytest

from aggregator.rounds.federation import Federation
from aggregator.server.announcer import Announcer
from aggregator.settings import AggregatorSettings
from shared.errors import SettingsError
from shared.protocol.messages import Announcement

SECURE: dict[str, Any] = {"secure": True, "by_invitation": True}
BUDGET: dict[str, Any] = {"dp_epsilon": 1000, "rounds": 2, "clients_per_round": 10}


def bounds() -> Iterator[tuple[str, float]]:
    """Give the name and each inclusive bound of all numbers among an aggregator's settings."""
    for name, field in AggregatorSettings.model_fields.items():
        for each in (*field.metadata, *_within(field.annotation)):
            if isinstance(each, annotated_types.Ge):
                yield name, each.ge  # type: ignore[misc] # bounds of numbers are numbers
            elif isinstance(each, annotated_types.Le):
                yield name, each.le  # type: ignore[misc] # as above


def _within(annotation: Any) -> Iterator[Any]:
    """Give what is said of a number that may also be ``None``."""
    for inner in get_args(annotation):
        for each in getattr(inner, "__metadata__", ()):
            yield from getattr(each, "metadata", [each])
        if get_origin(inner) is not None:
            yield from _within(inner)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "base",
    [{}, SECURE, BUDGET, {**SECURE, **BUDGET, "ring_bits": 16}],
    ids=["plain", "secure", "budget", "secure-budget"],
)
def test_what_is_not_refused_can_be_announced(tmp_path: Path, base: dict[str, Any]) -> None:
    said: list[str] = []

    def publish(announcement: Announcement) -> bool:
        assert Announcement.decode(announcement.encode()) == announcement
        return True

    for number, (name, bound) in enumerate(bounds()):
        given = {**base, name: bound, "state": tmp_path / str(number)}
        try:
            federation = Federation(AggregatorSettings.parse(given))
        except SettingsError:
            continue
        with federation:
            federation.rounds.start(0)
            Announcer(federation, publish, clock=lambda: 0.0).announce()
        said.append(name)
    assert len(said) > 30
    assert ("ring_examples" in said) == ("secure" in base and "dp_epsilon" not in base)

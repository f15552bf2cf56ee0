"""Which updates may count, whatever is in them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from aggregator.server.admission import refusal
from tests.aggregator.driver import play, put, random_update
from tests.aggregator.server.updates import offer_of, open_round, update_of

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    with open_round(tmp_path / "state", rounds=3) as opened:
        yield opened


def test_an_honest_offer_of_an_invited_client_is_welcome(
    federation: Federation, tmp_path: Path
) -> None:
    assert refusal(federation, "anna", offer_of(federation, update_of("anna", tmp_path))) is None


@pytest.mark.parametrize(
    ("client", "values", "reason", "sentence"),
    [
        ("cleo", {}, "uninvited", "does not take part in round 1"),
        ("anna", {"run": "0" * 32}, "foreign", "another run"),
        ("anna", {"round": 2}, "foreign", "Round 2 is not open"),
        ("anna", {"model": "0" * 64}, "foreign", "another model"),
        ("anna", {"codec": "sign"}, "unwelcome", "not accepted here: give one of float32"),
        ("anna", {"examples": 10**9}, "invalid", "It claims more than"),
        ("anna", {"size": 1 << 30}, "too-large", "larger than an update"),
    ],
)
def test_whatever_else_is_offered_is_refused_with_the_reason(
    federation: Federation,
    tmp_path: Path,
    client: str,
    values: dict[str, Any],
    reason: str,
    sentence: str,
) -> None:
    offer = offer_of(federation, update_of(client, tmp_path), **values)
    refused = refusal(federation, client, offer)
    assert refused is not None
    assert (refused.update, refused.reason) == (offer.update, reason)
    assert sentence in refused.sentence


def test_an_update_counts_once_and_not_after_its_round(
    federation: Federation, tmp_path: Path
) -> None:
    offer = offer_of(federation, update_of("anna", tmp_path))
    put(federation, 1, random_update("anna", 1))
    again = refusal(federation, "anna", offer)
    assert again is not None
    assert again.reason == "duplicate"
    closed = put(federation, 1, random_update("ben", 1))
    late = refusal(federation, "cleo", offer)
    assert late is not None
    assert (closed is not None, late.reason) == (True, "late")


def test_after_the_round_it_is_late(tmp_path: Path) -> None:
    with open_round(tmp_path / "state") as federation:
        offer = offer_of(federation, update_of("anna", tmp_path))
        record = federation.ledger.last_round()
        assert record
        play(federation, Opened(1, tuple(record.invited), record.wanted))
        refused = refusal(federation, "anna", offer)
        assert refused is not None
        assert (refused.reason, refused.sentence) == ("late", "Round 1 takes no more updates.")

"""What the page shows of the device itself, in real Chromium."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from edge_client.device.lately import Week
from edge_client.federation.sent import SentUpdate, SentUpdates
from edge_client.federation.terms import TermsSettings
from shared.errors import StorageError
from tests.browser import Open, text
from tests.edge_client.web.stand_in import StandIn


def sent_once(**facts: Any) -> SentUpdates:
    at = datetime(2026, 11, 28, tzinfo=UTC)
    one = SentUpdate(update="0" * 64, round=12, at=at, **facts)
    return SentUpdates(updates=1, bytes=one.bytes, latest=(one,))


def test_what_the_device_tells_is_shown(open_page: Open, device: StandIn) -> None:
    page = open_page()
    text(page, "#status", "conv · 4f1c9a4f")
    assert page.locator("#status dt").all_inner_texts() == ["Model", "Training", "Federation"]
    assert page.locator("#status dd").all_inner_texts()[1:] == ["none yet", "none yet"]
    device.facts["round"] = {"number": 12, "state": "waiting", "accepted": 3, "lacks": 5}
    device.facts["training"] = {"examples": 4}
    device.facts["source"] = {"kind": "mic", "detail": "Ears.", "lost": False, "overruns": 2}
    text(page, "#status", "round 12 · waiting · updates accepted: 3")
    text(page, "#status", "more of your answers needed: 5")
    text(page, "#status", "learned from 4 of your answers")
    text(page, "#status", "as the device was busy")
    device.facts["round"] = {"number": None, "state": "away", "accepted": 0, "remark": "No."}
    text(page, "#status", "the broker is not reached")
    assert page.locator("#status dd").all_inner_texts()[-1] == "the broker is not reached"
    device.facts["problem"] = "The disk is full: free some space."
    text(page, "#notice", "The disk is full")
    device.facts["problem"] = None
    page.wait_for_selector("#notice", state="hidden")
    device.broken = StorageError("The disk is damaged.", "Use another.")
    device.tell()
    text(page, "#notice", "The disk is damaged. Use another.")
    device.broken = None
    device.tell()
    page.wait_for_selector("#notice", state="hidden")


def test_what_has_left_the_device_is_shown_in_words_and_bytes(
    open_page: Open, device: StandIn
) -> None:
    page = open_page()
    assert page.is_hidden("#sent")
    terms = TermsSettings(fewest_steps=2, most_counted=50, signed=True).model_dump()
    sent = SentUpdates()
    device.facts["round"] = {"state": "waiting", "terms": terms, "sent": sent.to_dict()}
    text(page, "#sent", "Nothing so far.")
    sent = sent_once(bytes=52104, codec="int8", examples=24, scored=6)
    device.facts["round"] = {"state": "waiting", "terms": terms, "sent": sent.to_dict()}
    text(page, "#sent", "Updates sent: 1, 52,104 bytes in all.")
    text(page, "#sent", "round 12 · Nov 28 · 52,104 bytes (int8) of 24 answers · counts of how 6")
    text(page, "#sent", "at least 4 of your answers; at least 4 of them in a batch; at least 2")
    text(page, "#sent", "it tells of 50 at most; only federations that it was invited to.")


def test_of_a_masked_update_no_number_is_shown_but_its_bytes(
    open_page: Open, device: StandIn
) -> None:
    page = open_page()
    terms = TermsSettings(secure_only=True, fewest_others=4, most_strangers=0).model_dump()
    sent = sent_once(bytes=10023, codec="ring", examples=1, scored=0)
    device.facts["round"] = {"state": "waiting", "terms": terms, "sent": sent.to_dict()}
    text(page, "#sent", "10,023 bytes, masked: only the sum of many can be read")
    assert "of 1 answers" not in page.inner_text("#sent")
    text(page, "#sent", "only masked updates; together with 4 others at least; 0 of them at most")


@pytest.mark.parametrize(
    ("noise_by", "said"),
    [
        ("aggregator", "The aggregator adds the noise for that, and sees what this device sends"),
        ("devices", "The devices add the noise for that before anything leaves them."),
    ],
)
def test_the_budget_of_the_federation_and_the_one_that_is_asked_for_are_shown(
    open_page: Open, device: StandIn, noise_by: str, said: str
) -> None:
    page = open_page()
    terms = TermsSettings(most_epsilon=0.25).model_dump()
    budget = {"epsilon": 0.125, "delta": 1e-5, "rounds": 1200, "noise_by": noise_by}
    facts = {"state": "waiting", "terms": terms, "sent": SentUpdates().to_dict()}
    device.facts["round"] = facts
    text(page, "#sent", "a privacy budget of epsilon 0.25 at most.")
    assert page.inner_text("#sent .budget") == ""
    device.facts["round"] = {**facts, "budget": budget}
    text(page, "#sent .budget", "What all 1,200 models together tell of you has a bound: epsilon")
    text(page, "#sent .budget", f"epsilon 0.125, delta 0.00001. {said}")


@pytest.mark.parametrize("name", ["kitchen"])
def test_it_says_whose_page_it_is_and_how_the_device_has_done(
    open_page: Open, device: StandIn
) -> None:
    monday = datetime.now().astimezone().date()
    monday -= timedelta(days=monday.weekday())
    device.weeks = [
        Week(monday, 15, 12, current=True),
        Week(date(2026, 1, 5), 8, 4, current=False),
    ]
    page = open_page()
    text(page, "h1", "Chorus · kitchen")
    assert page.locator("#weeks li").all_inner_texts() == [
        "This week\n12 of 15 · 80%",
        "Week of Jan 5\n4 of 8 · 50%",
    ]
    assert page.title() == "Chorus · kitchen"


def test_it_says_how_to_begin_until_there_are_examples(open_page: Open, device: StandIn) -> None:
    page = open_page()
    text(page, "#guide", "Speak a sentence")
    text(page, "#weeks", "No answers yet.")
    for _ in range(8):
        device.confirm(device.hear(0.14, 0.72, 0.11, 0.03))
    page.wait_for_selector("#guide", state="hidden")

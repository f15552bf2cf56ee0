"""Finished updates that a process finds on the disk: what it looks at before it offers them."""

import json
from pathlib import Path
from typing import Any

import pytest

from aggregator.enrolment.voice import Voice
from aggregator.ledger.folder import FederationFolder
from edge_client.federation.client_state import ClientState, remembered
from shared.protocol.messages import Accepted, File, Offer, Received, Refused
from shared.secure_round import CODEC
from shared.trust.signing import unsigned
from tests.edge_client.federation.alone import TOPICS, Alone, offers_of
from tests.edge_client.federation.announcements import RUN, model_of
from tests.edge_client.federation.secure_alone import secure_round, words_of

pytestmark = pytest.mark.usefixtures("tiny")


def train(folder: Path, **values: Any) -> tuple[File, Path]:
    """Leave a finished update that nobody has answered; give the round's model, and its file."""
    it = Alone(folder, **values)
    model = model_of(folder)
    it.play(it.connection.connect, it.announce(model))
    (file,) = folder.glob("*.update")
    return model, file


def mask(folder: Path) -> Path:
    """Leave a masked update of round 1 whose process is gone; give its file."""
    state = ClientState(folder / "part")
    state.enter(RUN)
    digest, size = state.write_update(lambda path: path.write_bytes(b"masked"))
    offer = Offer(
        update=digest, size=size, run=RUN, round=1, model="1" * 64, codec=CODEC, examples=1
    )
    state.finish(offer, residual=None, control=None, learned=[*range(8)])
    return state.update


@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_an_update_that_is_lost_is_never_offered_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    model, file = train(tmp_path)
    file.unlink() if content is None else file.write_bytes(content)
    it, offers = Alone(tmp_path), list[Offer]()
    caplog.clear()
    it.play(
        *(it.connection.connect, it.announce(model), 300.0, it.announce(model), 300.0),
        lambda: offers.extend(offers_of(it)),
        *(it.announce(model, round=2), lambda: offers.extend(offers_of(it))),
    )
    assert [offer.round for offer in offers] == [2], "it goes on"
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warnings == [f"The update of round 1 is lost: its file {file} is missing or damaged."]
    assert not [one for one in caplog.records if one.exc_info]


def test_what_became_of_an_update_that_is_lost_is_in_the_status(tmp_path: Path) -> None:
    model, file = train(tmp_path)
    file.unlink()
    it = Alone(tmp_path)
    it.play(it.connection.connect, it.announce(model))
    found = remembered(tmp_path)
    assert (found["round"], found["waiting"]) == (1, False)
    assert "is lost" in found["refused"]
    assert it.participant._client_state.is_done(RUN, 1)


def test_an_update_that_is_lost_on_its_way_is_sent_no_more(
    it: Alone, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of(it.folder)

    def lose() -> None:
        (offer,) = offers_of(it)
        (file,) = it.folder.glob("*.update")
        file.write_bytes(file.read_bytes()[:-1])
        it.reply(Received(update=offer.update, ranges=[], window=1 << 20))

    it.play(it.connection.connect, it.announce(model), lose, 60.0)
    assert it.participant._client_state.offer is None
    assert "is lost" in caplog.text
    assert not offers_of(it)


def test_a_member_whose_masked_update_is_lost_declines_the_round(tmp_path: Path) -> None:
    mask(tmp_path).unlink()
    it, announce = secure_round(tmp_path)
    it.play(it.connection.connect, announce, 60.0)
    assert words_of(it) == ["secure-declined"]
    assert it.participant._client_state.offer is None


def test_a_member_whose_masked_update_arrived_damaged_and_is_so_here_declines_the_round(
    tmp_path: Path,
) -> None:
    mask(tmp_path)
    it, announce = secure_round(tmp_path)

    def damaged() -> None:
        update = it.participant._client_state.update
        update.write_bytes(b"damaged here")
        sentence = "What arrived is not what was offered."
        reply = Refused(update=update.stem, reason="damaged", sentence=sentence).encode()
        voice = Voice(FederationFolder(tmp_path / "aggregator"))
        topic = TOPICS.replies("kitchen")
        it.connection.on_message(topic, voice.sign(topic, reply))

    it.play(it.connection.connect, announce, damaged, 60.0)
    assert words_of(it) == ["secure-declined"]
    assert it.participant._client_state.offer is None


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"secure_only": True}, "the device's terms ask for secure rounds."),
        ({"most_epsilon": 1}, "this device's terms ask for an epsilon of 1 or less with a delta"),
        ({"fewest_examples": 9}, "it was made of 8 labelled examples, and this device's terms ask"),
        ({"smallest_batch": 99}, "and this device's terms for 99 or more."),
        ({"fewest_steps": 99}, "and this device's terms for 99 or more."),
    ],
)
def test_an_update_that_the_terms_of_now_do_not_allow_is_dropped_and_says_why(
    tmp_path: Path, terms: dict[str, Any], said: str
) -> None:
    model, file = train(tmp_path)
    it = Alone(tmp_path, terms=terms)
    it.play(it.connection.connect, it.announce(model), 60.0)
    assert not offers_of(it)
    assert not file.exists()
    refused = remembered(tmp_path)["refused"]
    assert refused.startswith("The update of round 1 is not sent: ")
    assert said in refused


@pytest.mark.parametrize("number", [1, 2])
def test_an_update_of_an_earlier_round_is_held_against_the_terms_too(
    tmp_path: Path, number: int
) -> None:
    model, _ = train(tmp_path)
    it = Alone(tmp_path, terms={"secure_only": True})
    it.play(it.connection.connect, it.announce(model, round=number, clients=["desk"]))
    assert not offers_of(it)
    assert it.participant._client_state.offer is None


@pytest.mark.parametrize(
    "terms", [{}, {"fewest_examples": 8}, {"fewest_steps": 1}, {"most_counted": 8}]
)
def test_an_update_that_the_terms_of_now_allow_is_offered(
    tmp_path: Path, terms: dict[str, Any]
) -> None:
    model, _ = train(tmp_path)
    it = Alone(tmp_path, terms=terms)
    it.play(it.connection.connect, it.announce(model))
    (offer,) = offers_of(it)
    assert (offer.round, offer.examples) == (1, 8)


def test_an_update_is_offered_as_the_terms_of_now_want_it_told(tmp_path: Path) -> None:
    train(tmp_path)
    (tmp_path / "sent.json").unlink()  # as if the network had been away
    state, asked = ClientState(tmp_path), list[Offer]()
    pending = state.outgoing
    assert pending
    digest, _ = state.write_update(lambda path: path.write_bytes(state.update.read_bytes()))
    table = [[2, 0, 0, 0]] + [[0] * 4] * 3
    told = pending.offer.model_copy(update={"confusion": table})
    assert told.update == digest
    state.finish(told, residual=None, control=None, learned=pending.learned)
    it = Alone(tmp_path, terms={"most_counted": 5})
    model = model_of(tmp_path)

    def accept() -> None:
        asked.extend(offers_of(it))
        it.reply(Accepted(update=digest))

    again = it.announce(model), lambda: asked.extend(offers_of(it))
    it.play(it.connection.connect, it.announce(model), accept, *again)
    assert [(one.examples, one.confusion, one.counted) for one in asked] == [
        (5, None, None),
        (5, None, True),
    ]
    (sent,) = it.participant._client_state.sent.updates.latest
    assert (sent.examples, sent.scored) == (5, 0)


def test_an_update_of_an_earlier_version_is_offered_though_nothing_says_what_it_is_made_of(
    tmp_path: Path,
) -> None:
    model, _ = train(tmp_path)
    facts = json.loads((tmp_path / "federation.json").read_text())
    del facts["outgoing"]["learned"]
    (tmp_path / "federation.json").write_text(json.dumps(facts))
    it = Alone(tmp_path)
    it.play(it.connection.connect, it.announce(model))
    assert len(offers_of(it)) == 1


@pytest.mark.parametrize(
    "terms", [{}, {"secure_only": True}, {"most_counted": 5}, {"fewest_others": 3}]
)
def test_a_masked_update_follows_the_rules_of_its_own_round(
    tmp_path: Path, terms: dict[str, Any]
) -> None:
    mask(tmp_path)
    it, announce = secure_round(tmp_path, **terms)
    it.play(it.connection.connect, announce)
    said = [unsigned(one.payload) for one in it.connection.said if b'"offer"' in one.payload]
    allowed = "fewest_others" not in terms
    assert bool(said) == allowed
    assert words_of(it) == ([] if allowed else ["secure-declined"])
    assert (it.participant._client_state.offer is not None) == allowed

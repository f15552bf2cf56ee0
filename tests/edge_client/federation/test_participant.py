"""A participant alone with a test: rounds, offers, what it believes, what runs where."""

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from aggregator.enrolment.members import Members
from aggregator.enrolment.voice import Voice
from aggregator.ledger.folder import FederationFolder
from edge_client.federation.client_state import ClientState
from shared.errors import BrokerError, StorageError
from shared.protocol.messages import Accepted, File, Offer, Presence, Refused, Want
from shared.task import PAPER34, Task, labels_of
from shared.training import Examples
from shared.trust.counter import Counter
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.signing import counter_of, signed
from tests.edge_client.federation.alone import TOPICS, Alone, offers_of
from tests.edge_client.federation.announcements import announcement, model_of
from tests.edge_client.tiny import examples
from tests.memberships import member

pytestmark = pytest.mark.usefixtures("tiny")

EIGHT = Task(labels_of(f"label{number}" for number in range(8)), PAPER34)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"federation": "other"}, "An announcement is of another federation."),
        ({"task": EIGHT}, "The federation chorus is of another task:"),
    ],
)
def test_what_is_announced_for_others_is_a_remark(
    it: Alone, caplog: pytest.LogCaptureFixture, values: dict[str, Any], sentence: str
) -> None:
    model = model_of(it.folder)
    it.play(it.connection.connect, it.announce(model, **values))
    assert sentence in caplog.text
    assert it.used == []
    assert "training" not in it.states


def test_a_device_of_the_starter_s_task_says_what_to_do_in_a_federation_of_another(
    tmp_path: Path,
) -> None:
    it = Alone(tmp_path, front_end="whisper-speech")
    it.play(it.connection.connect, it.announce(model_of(it.folder)))
    (remark,) = {report["remark"] for report in it.reports if report["state"] == "troubled"}
    assert "The federation chorus is of another task: its features are paper34 1" in remark
    assert remark.endswith("Start this device with --front-end paper34 to take part.")


def test_a_part_that_is_to_follow_the_task_ends_without_trouble(tmp_path: Path) -> None:
    it = Alone(tmp_path, front_end="whisper-speech")
    it.follows = True
    it.play(it.connection.connect, it.announce(model_of(it.folder)))
    assert it.connection.closed
    assert "troubled" not in it.states


def test_examples_are_read_and_files_hashed_in_workers(tmp_path: Path) -> None:
    it = Alone(tmp_path, at_once=False)
    model = model_of(it.folder)
    read: list[int] = []

    def data() -> Examples:
        read.append(8)
        return examples(8)

    it.data = data
    steps: list[tuple[int, str]] = []

    def look() -> None:
        steps.append((len(read), it.states[-1]))

    it.play(
        it.connection.connect,
        *(it.announce(model), look),
        *(it.driver.workers["files"].do_all, look),
        *(it.driver.workers["training"].do_all, look),
    )
    assert steps == [(0, "fetching"), (0, "training"), (1, "sending")]


def test_an_update_is_offered_and_counts(it: Alone) -> None:
    model = model_of(it.folder)
    offers: list[Offer] = []

    def accept() -> None:
        offers.extend(offers_of(it))
        it.reply(Accepted(update=offers[-1].update))

    it.play(it.connection.connect, it.announce(model), accept)
    assert (offers[0].round, offers[0].examples, offers[0].model) == (1, 8, model.digest)
    assert it.reports[-1]["accepted"] == 1
    assert it.participant._client_state.is_done(offers[0].run, 1)


def test_an_update_is_offered_again_at_once_when_the_round_is_announced_again(it: Alone) -> None:
    model, offers = model_of(it.folder), list[Offer]()
    times: list[float] = []

    def look() -> None:
        offers.extend(offers_of(it))
        times.append(it.driver.now)

    it.play(it.connection.connect, it.announce(model), look, it.announce(model), look)
    assert [one.update for one in offers] == [offers[0].update] * 2
    assert times[0] == times[1]


def test_a_model_is_asked_for_again_at_once_when_the_round_is_announced_again(it: Alone) -> None:
    missing = File(digest="4" * 64, size=100)
    asked: list[tuple[int, float]] = []

    def look() -> None:
        wants = [one for one in it.connection.take() if isinstance(one, Want)]
        asked.append((len(wants), it.driver.now))

    again = it.announce(missing)
    it.play(it.connection.connect, again, look, again, look, it.announce(missing, round=2), look)
    assert asked == [(1, asked[0][1]), (1, asked[0][1]), (0, asked[0][1])]


def test_it_asks_whether_its_update_still_counts_and_does_the_round_again_if_not(
    it: Alone, caplog: pytest.LogCaptureFixture
) -> None:
    model, offers = model_of(it.folder), list[Offer]()

    def counts() -> None:
        it.reply(Accepted(update=offers[-1].update))

    def look() -> None:
        offers.extend(offers_of(it))

    def forgotten() -> None:
        sentence = "The aggregator was put back."
        it.reply(Refused(update=offers[-1].update, reason="forgotten", sentence=sentence))

    it.play(
        it.connection.connect,
        *(it.announce(model), look, counts, look),
        *(it.announce(model), look, counts),
        *(it.announce(model, round=2, clients=["desk"]), look),
        *(it.announce(model), look, forgotten, look),
    )
    assert [(one.round, bool(one.counted)) for one in offers] == [
        (1, False),
        (1, True),
        (1, True),
        (1, False),
    ]
    assert it.participant._client_state.offer == offers[-1]
    assert "The aggregator was put back." in caplog.text


def test_an_announcement_that_somebody_makes_up_costs_no_update(it: Alone) -> None:
    model, offers = model_of(it.folder), list[Offer]()

    def offered() -> None:
        offers.extend(offers_of(it))

    unknown = File(digest="f" * 64, size=model.size)
    forged = [it.announce(unknown, run=f"{number:032x}") for number in range(1, 20)]
    it.play(
        it.connection.connect, it.announce(model), offered, *forged, it.announce(model), offered
    )
    assert [offer.update for offer in offers] == [offers[0].update] * len(offers)
    assert len(offers) > 1
    assert it.participant._client_state.intact()


def test_after_a_round_that_somebody_made_up_the_true_one_is_done(it: Alone) -> None:
    model, offers = model_of(it.folder), list[Offer]()

    def foreign() -> None:
        offers.extend(offers_of(it))
        sentence = "Round 999 is not open."
        it.reply(Refused(update=offers[-1].update, reason="foreign", sentence=sentence))

    def accept() -> None:
        offers.extend(offers_of(it))
        it.reply(Accepted(update=offers[-1].update))

    it.play(
        it.connection.connect,
        *(it.announce(model, round=999), foreign),
        60.0,
        *(it.announce(model), accept),
    )
    assert [offer.round for offer in offers] == [999, 1]
    assert it.reports[-1]["accepted"] == 1


def test_an_update_that_is_refused_without_a_sentence_does_not_count(it: Alone) -> None:
    model = model_of(it.folder)

    def refuse() -> None:
        (offer,) = offers_of(it)
        it.reply(Refused(update=offer.update, reason="late", sentence=""))

    it.play(it.connection.connect, it.announce(model), refuse)
    assert it.reports[-1]["accepted"] == 0
    assert it.participant._client_state.accepted == 0
    assert it.participant._client_state.offer is None


@pytest.mark.parametrize("intact", [True, False])
def test_an_update_that_arrived_damaged_is_sent_again_if_it_is_whole_here(
    it: Alone, *, intact: bool
) -> None:
    model, after = model_of(it.folder), list[Any]()

    def damaged() -> None:
        (offer,) = offers_of(it)
        if not intact:
            it.participant._client_state.update.write_bytes(b"damaged here")
        sentence = "What arrived is not what was offered."
        it.reply(Refused(update=offer.update, reason="damaged", sentence=sentence))

    it.play(
        it.connection.connect,
        it.announce(model),
        damaged,
        11.0,
        lambda: after.extend(offers_of(it)),
    )
    assert bool(after) == intact
    assert (it.participant._client_state.offer is not None) == intact


def test_it_leaves_after_as_many_updates_as_were_to_count(tmp_path: Path) -> None:
    it = Alone(tmp_path, leave_after=1)
    model, later = model_of(it.folder), list[int]()

    def accept() -> None:
        (offer,) = offers_of(it)
        it.reply(Accepted(update=offer.update))

    it.play(it.connection.connect, it.announce(model), accept, lambda: later.append(1))
    assert not later, "it has left by itself"


def test_it_says_that_it_is_there_and_that_it_leaves(it: Alone) -> None:
    said: list[Any] = []
    close = it.connection.close

    def closing() -> None:
        said.extend(it.connection.take())
        close()

    it.connection.close = closing  # type: ignore[method-assign] # to look before it is closed
    it.play(it.connection.connect)
    presences = [one for one in said if isinstance(one, Presence)]
    assert [one.state for one in presences] == ["online", "offline"]
    assert {one.examples for one in presences} == {None}, "it tells no number"
    assert it.connection.will
    assert Presence.decode(it.connection.will[1]).state == "offline"


def test_it_ends_when_the_broker_does_not_let_it_in(it: Alone) -> None:
    def refuse() -> None:
        it.connection.refused = BrokerError("It does not let kitchen in.", "Say who it is.")
        it.connection.lose()

    with pytest.raises(BrokerError, match="does not let"):
        it.play(refuse)


def test_who_stops_it_from_another_thread_stops_its_training(it: Alone) -> None:
    model = model_of(it.folder)

    def data() -> Examples:
        stopping = threading.Thread(target=it.participant.stop)
        stopping.start()
        stopping.join()
        return examples(8)

    it.data = data
    it.play(it.connection.connect, it.announce(model))
    assert it.participant._client_state.offer is None


def test_once_it_has_joined_it_believes_nobody_but_its_aggregator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "aggregator"
    membership = member(state, tmp_path / "membership", "kitchen")
    it = Alone(tmp_path / "kitchen", membership=membership)
    model = model_of(it.folder)
    voice = Voice(FederationFolder(state))
    plain = announcement(model, state="waiting").encode()
    stranger = signed(SecretKey(bytes(32)), TOPICS.round, plain, 1 << 52)
    old, new = (voice.sign(TOPICS.round, plain) for _ in range(2))
    used: list[int] = []

    def hear(*payloads: bytes) -> None:
        for payload in payloads:
            it.connection.on_message(TOPICS.round, payload)

    it.play(
        it.connection.connect,
        lambda: hear(plain, stranger),
        lambda: used.append(len(it.used)),
        lambda: hear(new, old),
    )
    assert used == [0]
    assert it.used == [model.digest]
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert [
        re.sub(r"^An announcement of the federation chorus ", "", one)[:40] for one in said
    ] == [
        "is not from the aggregator that this dev",
        "is not from the aggregator that this dev",
        "is older than the last one, and is left ",
    ]
    assert "troubled" in it.states
    for one in it.connection.said:
        assert counter_of(key_of(state, "kitchen"), one.topic, one.payload) > 0


def key_of(state: Path, name: str) -> PublicKey:
    with Members(FederationFolder(state).members) as members:
        return members.joined()[name].key


@pytest.fixture
def full_once(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let a device's disk be full when it enters a run; empty once that was so."""
    full, enter = [True], ClientState.enter

    def enter_if_there_is_room(state: ClientState, run: str) -> bool:
        if full and full.pop():
            raise StorageError.full_disk(state.folder)
        return enter(state, run)

    monkeypatch.setattr(ClientState, "enter", enter_if_there_is_room)
    return full


def test_an_announcement_that_met_a_full_disk_does_not_come_again_after_a_newer_one(
    it: Alone, full_once: list[bool]
) -> None:
    model = model_of(it.folder)
    it.play(
        it.connection.connect,
        it.announce(model, round=1, state="open", clients=["kitchen"]),
        10,
        it.announce(model, round=2, state="waiting"),
        60,
    )
    assert not full_once
    assert "training" not in it.states
    assert it.states[-1] == "waiting"


def test_an_announcement_that_met_a_full_disk_is_taken_when_there_is_room(
    it: Alone, full_once: list[bool]
) -> None:
    model = model_of(it.folder)
    opened = it.announce(model, round=1, state="open", clients=["kitchen"])
    it.play(it.connection.connect, opened, 60)
    assert not full_once
    assert {offer.round for offer in offers_of(it)} == {1}


def test_a_part_ends_whole_where_its_last_word_cannot_be_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = member(tmp_path / "aggregator", tmp_path / "memberships", "kitchen")
    it = Alone(tmp_path / "part", membership=joined)

    def no_room(_: Counter) -> None:
        raise StorageError.full_disk(tmp_path)

    monkeypatch.setattr(Counter, "_set_aside", no_room)
    it.play(it.connection.connect)
    assert it.connection.closed
    assert all(worker.ended for worker in it.driver.workers.values())

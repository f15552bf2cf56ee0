"""What is wrong, giant, damaged or foreign is refused, said once, and the round goes on."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from aggregator.ledger import Refusal
from shared.protocol.frames import Chunk
from shared.protocol.messages import Announcement, File, Presence, Want
from shared.weights import save_weights
from tests.edge_client.tiny import TINY
from tests.end_to_end.federation.hostile import (
    TOPICS,
    Mallory,
    update_file,
    with_names,
    with_value,
)
from tests.end_to_end.federation.world import World, simulated, world

Attack = Callable[[Mallory], object]
OTHER = "0" * 32


@pytest.fixture
def it(caplog: pytest.LogCaptureFixture) -> Iterator[World]:
    """Open a round with two honest clients, before they have done anything in it."""
    caplog.set_level(logging.WARNING)
    with world() as one:
        one.settle(until=lambda: TOPICS.round in one.network.retained and _is_open(one))
        yield one
        assert not [record for record in caplog.records if record.exc_info], "a traceback"


def _is_open(one: World) -> bool:
    return Announcement.decode(one.network.retained[TOPICS.round]).state == "open"


def refusals(one: World) -> list[Refusal]:
    assert one.server
    return one.server.federation.ledger.refusals()


@pytest.mark.parametrize(
    ("attack", "reason", "words"),
    [
        (lambda m: m.send(update_file(1e4)), "invalid", "more than the 1000 allowed"),
        (lambda m: m.send(with_value(float("nan"))), "invalid", "not finite"),
        (lambda m: m.send(with_value(float("inf"))), "invalid", "not finite"),
        (lambda m: m.send(update_file()[:-1000]), "invalid", ""),
        (lambda m: m.send(b"nothing of the kind"), "invalid", ""),
        (lambda m: m.send(b"\xff" * 8 + bytes(1000)), "invalid", ""),
        (lambda m: m.send(with_names("delta/\\u001b[2J")), "invalid", ""),
        (lambda m: m.send(update_file(), update="1" * 64), "damaged", "SHA-256"),
        (lambda m: m.offer(update_file(), size=1 << 30), "too-large", "larger"),
        (lambda m: m.offer(update_file(), run=OTHER), "foreign", "another run"),
        (lambda m: m.offer(update_file(), model="2" * 64), "foreign", "another model"),
        (lambda m: m.offer(update_file(), round=7), "foreign", "not open"),
        (lambda m: m.offer(update_file(), codec="pickle"), "unwelcome", "float32"),
        (lambda m: m.offer(update_file(), examples=10**8), "invalid", "examples"),
    ],
    ids=lambda value: None if callable(value) else value,
)
def test_a_wrong_update_is_refused_and_said_once(
    attack: Attack, reason: str, words: str, it: World, caplog: pytest.LogCaptureFixture
) -> None:
    mallory = Mallory(it)
    # Of a client that has gone, so that nothing of its own comes between.
    it.kill_client(0)
    for _ in range(3):
        attack(mallory)
        it.rest()
    found = refusals(it)
    assert [refusal.reason for refusal in found] == [reason]
    assert words in found[0].sentence
    assert found[0].sentence.isprintable()
    said = [record.getMessage() for record in caplog.records if "client-00000" in record.message]
    assert len([line for line in said if found[0].sentence in line]) == 1
    it.settle()
    it.check(simulated())


def test_an_uninvited_update_is_refused(it: World) -> None:
    Mallory(it, "mallory").send(update_file())
    it.settle()
    assert [(r.client, r.reason) for r in refusals(it)] == [("mallory", "uninvited")]
    it.check(simulated())


def test_what_was_counted_is_not_counted_again(it: World) -> None:
    mallory = Mallory(it)
    assert it.server
    ledger = it.server.federation.ledger
    it.settle(until=lambda: any(r.client == "client-00000" for r in ledger.updates(1)))
    known = ledger.update(1, "client-00000")
    assert known
    content = it.server.federation.folder.update(1, "client-00000").read_bytes()
    # The same once more, another one, and the same in the next round.
    first = mallory.announcement
    mallory.send(content)
    mallory.send(update_file())
    it.settle(until=lambda: ledger.round(2))
    mallory.send(content, round=2)
    mallory.send(content, round=2, model=first.model.digest)
    mallory.send(update_file(), round=1, model=first.model.digest)
    it.settle()
    it.check(simulated())
    reasons = {refusal.reason for refusal in refusals(it)}
    assert reasons <= {"duplicate", "foreign", "late"}


def test_a_repeated_old_offer_does_not_cost_what_is_being_sent(it: World) -> None:
    mallory = Mallory(it)
    assert it.server
    uploads = it.server.federation.folder.uploads
    it.settle(until=lambda: uploads.exists() and list(uploads.glob("client-00000*.part")))
    before = it.passed
    mallory.offer(update_file(), round=1, run=OTHER)
    it.settle(until=lambda: it.passed > before + 4)
    assert list(uploads.glob("client-00000*.part")) or it.server.federation.ledger.updates(1)
    it.settle()
    it.check(simulated())


@pytest.mark.parametrize("kind", ["requests", "presence", "chunks", "nothing-known"])
def test_what_is_no_message_is_left_aside(
    kind: str, it: World, caplog: pytest.LogCaptureFixture
) -> None:
    mallory = Mallory(it)
    topic = TOPICS.requests("mallory").replace("requests", kind)
    payloads = [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", bytes(3 << 20)]
    payloads += [json.dumps({"protocol": f"{major}.0"}).encode() for major in range(2, 50)]
    payloads += [b'{"protocol": "1.0", "kind": "' + bytes([65 + n]) * 9 + b'"}' for n in range(26)]
    for payload in payloads:
        mallory.say(topic, payload)
    it.settle()
    it.check(simulated())
    assert len([r for r in caplog.records if "mallory" in r.getMessage()]) <= 11


def test_names_that_are_none_are_left_aside(it: World) -> None:
    mallory = Mallory(it)
    for name in ("../../etc", "A", "a b", "a" * 65, "", "a\n"):
        mallory.say(f"chorus/chorus/clients/{name}/presence", Presence(state="online").encode())
    it.settle()
    assert it.server
    names = [record.name for record in it.server.federation.ledger.clients()]
    assert names == ["client-00000", "client-00001"]
    it.check(simulated())


def test_chunks_that_nobody_awaits_take_no_room(it: World) -> None:
    mallory = Mallory(it)
    update = mallory.offer(update_file()).update
    for offset in (0, 1 << 20, (1 << 30) - 8192):
        mallory.chunk("3" * 64, offset, bytes(8192))
        mallory.chunk(update, offset + len(update_file()), bytes(100))
    it.rest()
    assert it.server
    folder = it.server.federation.folder.path
    taken = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert taken < 2 << 20
    it.settle()
    it.check(simulated())


def test_a_flood_of_wants_is_answered_within_bounds(it: World) -> None:
    mallory = Mallory(it, "mallory")
    model = mallory.announcement.model
    everything = Want(file=model.digest, ranges=[(0, 1 << 30)] * 256)
    unknown = Want(file="4" * 64, ranges=[(0, 1)])
    for _ in range(200):
        mallory.say(TOPICS.requests("mallory"), everything.encode())
        mallory.say(TOPICS.requests("mallory"), unknown.encode())
    assert it.server
    jobs = it.server.service._sending._distribution._jobs
    most = 0
    for turn in range(500):
        it.step(turn)
        most = max(most, len(jobs))
    assert most <= -(-model.size // 8192)
    it.settle()
    it.check(simulated())


def test_a_flood_waits_outside(it: World) -> None:
    assert it.server
    service = it.server.service
    piece = bytes(1 << 20)
    for kind in (TOPICS.chunks, TOPICS.requests, TOPICS.presence):
        for _ in range(300):
            service._arrived(kind("mallory"), piece)
    assert len(service._loop._queue._items) <= 10  # type: ignore[attr-defined] # it stands in
    service._arrived(TOPICS.requests("client-00000"), b"{}")
    it.settle()
    it.check(simulated())


def model(truth: Announcement, **values: object) -> Announcement:
    """Announce another model."""
    file = File.model_validate({**truth.model.model_dump(), **values})
    return truth.model_copy(update={"model": file})


def other(truth: Announcement, **values: object) -> Announcement:
    return truth.model_copy(update=values)


def giant_step(truth: Announcement) -> Announcement:
    training = truth.training.model_copy(update={"learning_rate": 1e30})
    return other(truth, training=training)


LIES: dict[str, Callable[[Announcement], Announcement]] = {
    "larger than any model": lambda truth: model(truth, size=1 << 30),
    "another size": lambda truth: model(truth, size=truth.model.size - 1),
    "another digest": lambda truth: model(truth, digest="5" * 64),
    "another federation": lambda truth: other(truth, federation="other"),
    "unknown codecs": lambda truth: other(truth, codecs=["pickle", "gzip"]),
    "not invited": lambda truth: other(truth, clients=["mallory"]),
    "waiting": lambda truth: other(truth, state="waiting"),
    "a giant step": giant_step,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("lie", LIES)
def test_an_announcement_that_lies_costs_a_client_nothing_but_time(
    lie: str, it: World, caplog: pytest.LogCaptureFixture
) -> None:
    truth, client = Mallory(it).announcement, it.clients[0]
    client.link.waiting.clear()
    for _ in range(3):
        client.link.on_message(TOPICS.round, LIES[lie](truth).encode())
        it.rest()
        it.stage.now += 31
    folder = it.folder / client.name
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 1 << 20
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) <= 4
    it.kill_client(0)
    it.settle()
    it.check(simulated())


def test_a_model_that_is_not_finite_is_not_trained_on(it: World) -> None:
    truth, client = Mallory(it).announcement, it.clients[0]
    path = it.folder / "nan.safetensors"
    save_weights(path, np.zeros(TINY.parameters, np.float32), TINY)
    content = path.read_bytes()[:-4] + np.float32(np.nan).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    client.link.waiting.clear()
    lie = model(truth, digest=digest, size=len(content))
    client.link.on_message(TOPICS.round, lie.encode())
    while client.loop.ready:
        it.run(client.loop)  # it asks for the model
    for begin in range(0, len(content), lie.chunk):
        chunk = Chunk(digest, begin, content[begin : begin + lie.chunk], 1)
        client.link.on_message(TOPICS.model(digest), chunk.encode())
    it.rest()
    assert (it.folder / client.name / f"{digest}.safetensors").exists()
    assert client.participant._client_state.offer is None
    it.kill_client(0)
    it.settle()
    it.check(simulated())

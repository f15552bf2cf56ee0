"""docs/protocol.md is enough to write a client: this one knows nothing else.

It imports nothing of ours, has a made-up update, and takes part in one round of a real aggregator.
"""

import hashlib
import json
import queue
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import BOUND, free_port

NAME, EXAMPLES = "stranger", 12
TOPICS = "chorus/chorus/"
MINE = f"{TOPICS}clients/{NAME}/"
HEAD = ">4sB3x32sQI"


class Stranger:
    """A client written from the document.

    Parameters
    ----------
    port
        Where the broker is.
    version
        The version of the protocol that it speaks.
    **has
        How it says what it has to train on.
    """

    def __init__(self, port: int, version: str, **has: Any) -> None:
        self.version = version
        self.messages: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.subscribed: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, NAME, clean_session=True)
        will = self.words(state="offline")
        self.mqtt.will_set(f"{MINE}presence", will, qos=1, retain=True)
        self.mqtt.on_message = lambda *a: self.messages.put((a[2].topic, bytes(a[2].payload)))
        self.mqtt.on_subscribe = lambda *a: self.subscribed.put(a[2])
        self.mqtt.on_connect = lambda *_: self.subscribe(1, f"{TOPICS}round", f"{MINE}replies")
        self.mqtt.connect_timeout = BOUND
        self.mqtt.connect("127.0.0.1", port)
        self.mqtt.loop_start()
        self.subscribed.get(timeout=BOUND)
        self.say("presence", retain=True, state="online", trains=True, **has)

    def words(self, **fields: Any) -> bytes:
        return json.dumps({"protocol": self.version, **fields}).encode()

    def subscribe(self, qos: int, *topics: str) -> None:
        self.mqtt.subscribe([(topic, qos) for topic in topics])

    def say(self, topic: str, *, retain: bool = False, **fields: Any) -> None:
        self.mqtt.publish(f"{MINE}{topic}", self.words(**fields), qos=1, retain=retain)

    def hear(self, topic: str) -> bytes:
        """Wait for the next message to a topic; others are dropped."""
        while True:
            place, payload = self.messages.get(timeout=BOUND)
            if place == TOPICS + topic:
                return payload

    def my_round(self) -> dict[str, Any]:
        """Wait for a round to take part in."""
        while True:
            announced: dict[str, Any] = json.loads(self.hear("round"))
            assert announced["protocol"].split(".")[0] == "1"
            clients = announced.get("clients")
            if announced["state"] == "open" and (clients is None or NAME in clients):
                return announced

    def fetch(self, digest: str, size: int) -> bytes:
        """Fetch a file, 4 MiB at a time."""
        self.subscribe(0, f"{TOPICS}models/{digest}")
        self.subscribed.get(timeout=BOUND)
        pieces: dict[int, bytes] = {}
        have, asked = 0, 0
        while have < size:
            if have == asked:
                asked = min(size, have + (4 << 20))
                self.say("requests", kind="want", file=digest, ranges=[[have, asked]], seen=0)
            frame = self.hear(f"models/{digest}")
            magic, major, whole, offset, _ = struct.unpack_from(HEAD, frame)
            payload = frame[56:]
            assert (magic, major, whole.hex()) == (b"CHRS", 1, digest)
            assert int.from_bytes(frame[52:56]) == zlib.crc32(frame[:52] + payload)
            pieces[offset] = payload
            have = sum(map(len, pieces.values()))
        found = b"".join(pieces[offset] for offset in sorted(pieces))
        assert hashlib.sha256(found).hexdigest() == digest
        return found

    def deliver(self, update: bytes, chunk: int, **offer: Any) -> dict[str, Any]:
        """Offer an update and send it; give the aggregator's last word."""
        name = hashlib.sha256(update).hexdigest()
        self.say("requests", kind="offer", update=name, size=len(update), **offer)
        sent = 0
        while True:
            reply: dict[str, Any] = json.loads(self.hear(f"clients/{NAME}/replies"))
            assert reply["update"] == name
            if reply["kind"] != "received":
                return reply
            safe = sum(end - begin for begin, end in reply["ranges"])
            while sent < len(update) and sent - safe < reply["window"]:
                payload = update[sent : sent + chunk]
                head = struct.pack(HEAD, b"CHRS", 1, bytes.fromhex(name), sent, 0)
                checksum = zlib.crc32(head + payload).to_bytes(4)
                self.mqtt.publish(f"{MINE}chunks", head + checksum + payload, qos=0)
                sent += len(payload)


def tensors(file: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<Q", file)
    header: dict[str, Any] = json.loads(file[8 : 8 + length])
    return header


def update_of(values: "np.ndarray[Any, Any]") -> bytes:
    """Write an update as safetensors, in float32."""
    data = values.astype("<f4").tobytes()
    place = {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]}
    metadata = {"architecture": "conv", "codec": "float32"}
    header = json.dumps({"__metadata__": metadata, "delta/values": place}).encode()
    return struct.pack("<Q", len(header)) + header + data


@contextmanager
def serving(state: Path, *more: str) -> Iterator[int]:
    """Serve one round for one client; give the port."""
    port = free_port()
    line = f"serve --embedded-broker --quorum 1 --rounds 1 --port {port} --state {state}"
    line += " --model conv"  # what the document's table is of
    aggregator = subprocess.Popen(
        [str(Path(sys.executable).with_name("aggregator")), *line.split(), *more],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert aggregator.stderr
    for said in aggregator.stderr:
        if "Connected to the broker" in said:
            break
    try:
        yield port
    finally:
        aggregator.terminate()
        _, rest = aggregator.communicate(timeout=BOUND)
    assert aggregator.returncode == 0, rest


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Serve the default task; give the port, and the state folder."""
    state = tmp_path / "aggregator"
    with serving(state) as port:
        yield port, state


@pytest.mark.parametrize(
    ("version", "has"),
    [("1.2", {"supply": "new"}), ("1.1", {"examples": EXAMPLES}), ("1.0", {"examples": EXAMPLES})],
)
def test_a_client_written_from_the_document_takes_part(
    served: tuple[int, Path], version: str, has: dict[str, Any]
) -> None:
    port, state = served
    stranger = Stranger(port, version, **has)
    announced = stranger.my_round()
    model = stranger.fetch(**announced["model"])
    header = tensors(model)
    assert header.pop("__metadata__")["architecture"] == announced["architecture"] == "conv"
    assert {tensor["dtype"] for tensor in header.values()} == {"F32"}
    weights = sum(int(np.prod(tensor["shape"])) for tensor in header.values())
    assert weights == 1_832_004
    assert header["conv2/kernel"]["shape"] == [3, 512, 128]

    made_up = np.random.default_rng(0).normal(0, 1e-3, weights)
    offer = {key: announced[key] for key in ("run", "round")}
    offer |= {"model": announced["model"]["digest"], "codec": "float32", "examples": EXAMPLES}
    reply = stranger.deliver(update_of(made_up), announced["chunk"], **offer)
    assert reply["kind"] == "accepted", reply

    last = json.loads(stranger.hear("round"))
    assert last["state"] == "finished"
    after = stranger.fetch(**last["model"])
    begin = len(after) - 4 * weights
    moved = np.frombuffer(after[begin:], "<f4") - np.frombuffer(model[begin:], "<f4")
    assert np.allclose(moved, made_up, atol=1e-6), "one client's average is its update"
    assert (state / "ledger.sqlite").exists()
    stranger.say("presence", retain=True, state="offline")
    stranger.mqtt.disconnect()
    stranger.mqtt.loop_stop()


def test_a_client_of_1_0_is_told_that_it_cannot_count_for_another_task(tmp_path: Path) -> None:
    with serving(tmp_path / "aggregator", "--labels", "laughing,crying,shouting,singing") as port:
        stranger = Stranger(port, "1.0", examples=EXAMPLES)
        announced = stranger.my_round()
        names = [label["name"] for label in announced["task"]["labels"]]
        assert names == ["laughing", "crying", "shouting", "singing"]
        offer = {key: announced[key] for key in ("run", "round")}
        offer |= {"model": announced["model"]["digest"], "codec": "float32", "examples": EXAMPLES}
        # As many labels as the default task has: nothing but the task tells the weights apart.
        reply = stranger.deliver(update_of(np.zeros(1_832_004)), announced["chunk"], **offer)
        assert (reply["kind"], reply["reason"]) == ("refused", "foreign")
        assert "another task: this federation recognises laughing, crying" in reply["sentence"]
        stranger.mqtt.disconnect()
        stranger.mqtt.loop_stop()

"""One update on its way in: what follows on what."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from aggregator.server.upload import SOON, State, Upload, check_update
from shared.protocol.frames import Chunk
from shared.protocol.messages import Offer, Refused
from shared.storage.tensor_file import write_tensors
from tests.edge_client.tiny import TINY

CONTENT = bytes(range(256)) * 16
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OFFER = Offer(
    update=DIGEST,
    size=len(CONTENT),
    run="0" * 32,
    round=1,
    model="1" * 64,
    codec="float32",
    examples=3,
)


def piece(begin: int, end: int) -> Chunk:
    return Chunk(DIGEST, begin, CONTENT[begin:end])


@pytest.fixture
def upload(tmp_path: Path) -> Upload:
    one = Upload("anna", OFFER)
    one.open(tmp_path / "uploads")
    one.become("receiving")
    return one


def test_it_arrives_is_checked_and_counts(upload: Upload) -> None:
    assert upload.take(piece(0, 1000), 7.0, 2000) == SOON
    assert upload.arrived_at == 7.0
    assert not upload.begin_flush(2000), "too little"
    assert upload.take(piece(1000, len(CONTENT)), 8.0, 2000) == 0
    assert upload.begin_flush(2000)
    assert not upload.begin_flush(0), "it is being done"
    assert (upload.state, upload.complete) == ("arrived", False)
    assert upload.flush() == len(CONTENT)
    upload.end_flush()
    assert upload.complete
    upload.become("checking")
    assert upload.placed
    upload.become("counted")
    assert not upload.placed


def test_what_a_full_disk_did_not_take_is_received_anew(upload: Upload) -> None:
    upload.take(piece(0, len(CONTENT)), 0, 2000)
    assert upload.begin_flush(0)
    upload.end_flush(failed=True)
    assert (upload.state, upload.flushing) == ("receiving", False)


@pytest.mark.parametrize("state", ["waiting", "away", "refused", "dropped"])
def test_without_a_place_nothing_is_taken_and_nothing_flushed(upload: Upload, state: State) -> None:
    upload.take(piece(0, 1000), 0, 2000)
    upload.become(state)
    assert upload.take(piece(1000, 2000), 0, 2000) is None
    assert not upload.begin_flush(0)
    assert upload.part
    assert list(upload.part.written) == [(0, 1000)]


def test_one_whose_files_were_let_go_of_is_flushed_no_more(upload: Upload) -> None:
    upload.told = 5
    assert upload.part
    upload.part.close()
    upload.part = None
    assert upload.flush() == 5


def test_what_an_earlier_process_received_whole_is_looked_at(
    upload: Upload, tmp_path: Path
) -> None:
    upload.take(piece(0, len(CONTENT)), 0, 0)
    upload.flush()
    again = Upload("anna", OFFER)
    again.open(tmp_path / "uploads")
    assert (again.told, again.fresh) == (len(CONTENT), len(CONTENT))
    again.become("receiving")
    assert again.begin_flush(1 << 20)
    assert again.state == "arrived"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("waiting", "checking"),
        ("waiting", "counted"),
        ("receiving", "counted"),
        ("checking", "receiving"),
        ("checking", "away"),
        ("away", "receiving"),
        ("counted", "waiting"),
        ("refused", "counted"),
        ("dropped", "checking"),
    ],
)
def test_no_step_is_left_out_and_nothing_comes_after_the_end(before: State, after: State) -> None:
    upload = Upload("anna", OFFER)
    upload.state = before
    with pytest.raises(ValueError, match=f"is {before} cannot become {after}"):
        upload.become(after)
    assert upload.state == before


def damaged(path: Path, kind: str) -> None:
    """Write a file that is no update of the tiny model."""
    values = np.full(TINY.parameters, 1e3, np.float32)
    metadata = {"architecture": TINY.name, "codec": "float32"}
    match kind:
        case "none":
            path.write_bytes(b"nothing of the kind")
            return
        case "empty":
            path.write_bytes(b"")
            return
        case "metadata":
            metadata["codec"] = "int8"
        case "task":
            metadata["task"] = '{"labels": []}'
        case "shape":
            values = values[1:]
        case "nan":
            values[0] = np.nan
    write_tensors(path, {"delta/values": values}, metadata)


@pytest.mark.parametrize("kind", ["none", "empty", "metadata", "task", "shape", "nan", "norm"])
def test_a_refusal_does_not_say_where_the_update_lies(kind: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    damaged(whole, kind)
    content = whole.read_bytes()
    update = hashlib.sha256(content).hexdigest()
    one = Upload("anna", OFFER.model_copy(update={"update": update, "size": len(content) or 1}))
    one.open(tmp_path / "uploads")
    one.become("receiving")
    assert one.part
    if content:
        one.take(Chunk(update, 0, content), 0, 0)
        one.flush()
    else:
        one.part.size = 0
    refused = check_update(one.part, one.offer, TINY, (), largest_norm=1000)
    assert isinstance(refused, Refused)
    assert refused.reason == "invalid"
    assert not [
        part for part in (str(tmp_path), ".part", update, "anna") if part in refused.sentence
    ]
    assert refused.sentence.startswith("The update ")

"""One update on its way in: what follows on what."""

import hashlib
from pathlib import Path

import pytest

from aggregator.server.upload import SOON, State, Upload
from shared.protocol.frames import Chunk
from shared.protocol.messages import Offer

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

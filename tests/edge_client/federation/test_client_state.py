"""What a device remembers: each step has happened or has not, and none happens twice."""

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_client.federation import facts
from edge_client.federation.client_state import MOST_ASIDE, ClientState, remembered
from shared.errors import FederationError
from shared.protocol.messages import Offer
from shared.storage.files import leftovers, write_atomically
from tests.brokers import BOUND

RUN, OTHER_RUN, MODEL = "0" * 32, "1" * 32, "2" * 64


def finish(
    memory: ClientState,
    number: int = 1,
    *,
    residual: float | None = None,
    learned: Sequence[int] = (),
) -> Offer:
    """Finish an update, as the work of a round does."""
    content = f"update of round {number}".encode()
    digest, size = memory.write_update(lambda path: path.write_bytes(content))
    offer = Offer(
        update=digest,
        size=size,
        run=memory._facts.run,
        round=number,
        model=MODEL,
        codec="float32",
        examples=3,
    )
    kept = None if residual is None else np.full(4, residual, np.float32)
    memory.finish(offer, residual=kept, control=None, learned=learned)
    return offer


def test_a_finished_update_survives_until_it_is_decided_on(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    offer = finish(memory)
    again = ClientState(tmp_path)
    assert again.offer == offer
    assert again.intact()
    again.decide()
    assert again.offer is None
    assert (again.accepted, again.is_done(RUN, 1), again.is_done(RUN, 2)) == (1, True, False)
    assert not list(tmp_path.glob("*.update"))
    again.decide()
    assert ClientState(tmp_path).accepted == 1


def test_what_a_codec_left_out_counts_only_with_its_update(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory, 1, residual=1.0)
    assert memory.residual(4) is None
    memory.decide()
    finish(memory, 2, residual=2.0)
    memory.decide(refused="late")
    residual = ClientState(tmp_path).residual(4)
    assert residual is not None
    np.testing.assert_array_equal(residual[:], np.ones(4, np.float32))
    assert len(list(tmp_path.glob("*.residual"))) == 1


def test_what_was_left_out_comes_once_also_where_the_next_codec_leaves_out_nothing(
    tmp_path: Path,
) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory, 1, residual=1.0)
    memory.decide()
    finish(memory, 2)  # its codec is lossless
    memory.decide(refused="late")
    assert memory.residual(4) is not None, "it was not taken"
    finish(memory, 3)
    memory.decide()
    assert ClientState(tmp_path).residual(4) is None
    assert not list(tmp_path.glob("*.residual"))


@pytest.mark.parametrize("left", [0, 12, None])
def test_what_is_gone_or_cut_short_of_it_is_said_with_what_to_remove(
    tmp_path: Path, left: int | None
) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory, residual=1.0)
    memory.decide()
    (kept,) = tmp_path.glob("*.residual")
    if left is None:
        kept.unlink()
    else:
        os.truncate(kept, left)
    with pytest.raises(FederationError, match="missing or damaged") as caught:
        memory.residual(4)
    assert str(tmp_path / "federation.json") in caught.value.remedy
    (tmp_path / "federation.json").unlink()
    assert ClientState(tmp_path).residual(4) is None


def test_rounds_are_done_again_when_their_updates_count_no_more(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    assert memory.counted is None
    offer = finish(memory, 7)
    memory.decide()
    finish(memory, 8)
    memory.decide(refused="late")
    again = ClientState(tmp_path)
    assert again.counted == offer
    assert again.is_done(RUN, 8)
    again.do_again()
    again = ClientState(tmp_path)
    assert again.counted is None
    assert not again.is_done(RUN, 7)
    assert again.accepted == 1, "it was trained all the same"


def test_a_damaged_update_is_known(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory)
    memory.update.write_bytes(b"damaged")
    assert not memory.intact()
    memory.update.unlink()
    assert not memory.intact()


def test_other_runs_begin_anew_and_at_last_forget_everything(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory, 5)
    memory.enter(OTHER_RUN)
    assert memory.offer is None
    assert not memory.is_done(OTHER_RUN, 1)
    for number in range(MOST_ASIDE):
        finish(memory, 6 + number)
        memory.enter(f"{number + 2:032x}")
    assert len(list(tmp_path.glob("*.update"))) == MOST_ASIDE
    memory.enter(RUN)
    assert memory.offer is None
    for number in range(MOST_ASIDE):
        memory.enter(f"{number + 1:032x}" if number else OTHER_RUN)
        memory.decide(refused="late")
    assert not list(tmp_path.glob("*.update"))


def test_a_run_that_is_announced_again_finds_all_that_it_had(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory, 1, residual=1.0)
    memory.decide()
    offer = finish(memory, 2, residual=2.0)
    memory.enter(OTHER_RUN)
    assert not memory.is_done(RUN, 1)
    memory = ClientState(tmp_path)
    assert memory.enter(RUN)
    assert not memory.enter(RUN)
    assert memory.offer == offer
    assert memory.intact()
    assert memory.is_done(RUN, 1)
    memory.decide()
    residual = memory.residual(4)
    assert residual is not None
    np.testing.assert_array_equal(residual[:], np.full(4, 2, np.float32))
    assert memory.accepted == 2


def test_runs_that_somebody_makes_up_do_not_cost_the_true_one(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory, 1)
    memory.decide()
    offer = finish(memory, 2)
    for number in range(2, 50):
        memory.enter(f"{number:032x}")
        if number % 2:
            finish(memory, number)
    assert len(list(tmp_path.glob("*.update"))) <= MOST_ASIDE + 1
    memory.enter(RUN)
    assert memory.offer == offer
    assert memory.intact()


def test_the_same_update_of_two_runs_is_one_file_that_either_may_need(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    offer = finish(memory)
    memory.enter(OTHER_RUN)
    same = finish(memory)
    assert same.update == offer.update
    memory.enter(RUN)
    # The work of the other run ends only now.
    memory.finish(same, residual=None, control=None)
    assert memory.intact()
    memory.enter(OTHER_RUN)
    memory.decide(refused="foreign")
    memory.enter(RUN)
    assert memory.offer == offer
    assert memory.intact()


def test_what_was_refused_as_foreign_does_no_round(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory, 999_999)
    memory.decide(refused="There is no such round.", foreign=True)
    assert memory.offer is None
    assert not memory.is_done(RUN, 1)


def test_work_of_an_earlier_run_leaves_no_trace_in_the_next(tmp_path: Path) -> None:
    """The round's work ends in another thread, when the loop has entered another run."""
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    digest, size = memory.write_update(lambda path: path.write_bytes(b"late"))
    offer = Offer(
        update=digest, size=size, run=RUN, round=5, model=MODEL, codec="float32", examples=3
    )
    memory.enter(OTHER_RUN)
    memory.finish(offer, residual=None, control=None)
    assert memory.offer is None
    assert not memory.is_done(OTHER_RUN, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["federation.json"]


def test_an_update_that_is_not_kept_yet_is_not_swept_away(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    digest, size = memory.write_update(lambda path: path.write_bytes(b"update"))
    memory.note(lacks=2)  # the loop writes while the round's work ends
    offer = Offer(update=digest, size=size, run=RUN, round=1, model=MODEL, codec="x", examples=3)
    memory.finish(offer, residual=None, control=None)
    assert memory.offer == offer
    assert memory.intact()


class WatchedLock:
    """A lock that says when another thread than the first asks for it."""

    def __init__(self) -> None:
        self.lock, self.asked = threading.RLock(), threading.Event()
        self.first: threading.Thread | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is not self.first:
            self.asked.set()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


@pytest.mark.parametrize(
    "change",
    [
        lambda memory: memory.note(lacks=3),
        lambda memory: memory.use(MODEL),
        lambda memory: memory.do_again(),
        lambda memory: memory.unlearn([(0, 9)]),
    ],
    ids=["note", "use", "do_again", "unlearn"],
)
def test_what_changes_while_an_update_is_kept_does_not_lose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[ClientState], None]
) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    finish(memory, learned=[1])
    memory.decide()
    watched = WatchedLock()
    memory._lock = watched  # type: ignore[assignment] # it stands in
    loop = threading.Thread(target=change, args=[memory])
    watched.first = threading.current_thread()

    def slowly(path: Path, content: str) -> None:
        """Write while the loop's thread waits for the lock."""
        if watched.first is threading.current_thread() and not loop.ident:
            loop.start()
            assert watched.asked.wait(BOUND)
        write_atomically(path, content)

    monkeypatch.setattr(facts, "write_atomically", slowly)
    offer = finish(memory, 2)
    loop.join(BOUND)
    assert memory.offer == offer
    assert memory.intact()
    assert ClientState(tmp_path).offer == offer


def test_what_a_killed_process_was_writing_goes(tmp_path: Path) -> None:
    memory = ClientState(tmp_path)
    memory.enter(RUN)
    offer = finish(memory, residual=0.5)
    kept = set(tmp_path.iterdir())
    for name in ("federation.json", f"{MODEL}.safetensors", f"{offer.update}.residual"):
        replaced = tmp_path / name
        handle, aside = tempfile.mkstemp(replaced.suffix, f".{replaced.stem}-", tmp_path)
        os.close(handle)
        assert leftovers(replaced) == [Path(aside)]
    (tmp_path / f"{MODEL}.update.part").write_bytes(b"half of it")
    ClientState(tmp_path)
    assert set(tmp_path.iterdir()) == kept


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "[" * 100_000, '{"aside": [3]}', '{"run": 3}', '{"outgoing": {"offer": {}}}'],
    ids=range(7),
)
def test_what_cannot_be_read_is_said_with_a_mend(tmp_path: Path, content: str) -> None:
    (tmp_path / "federation.json").write_text(content)
    with pytest.raises(FederationError, match="cannot be read") as caught:
        ClientState(tmp_path)
    assert "Remove the file" in caught.value.remedy


def test_a_status_changes_nothing(tmp_path: Path) -> None:
    assert remembered(tmp_path / "nothing") == {
        "round": 0,
        "accepted": 0,
        "refused": None,
        "waiting": False,
        "lacks": 0,
        "objection": None,
        "budget": None,
        "model": None,
    }
    assert not (tmp_path / "nothing").exists()


def test_what_a_model_was_taught_is_new_again_where_the_model_is_not_made_of_it(
    tmp_path: Path,
) -> None:
    state = ClientState(tmp_path)
    state.enter(RUN)
    finish(state, 5, learned=[1, 2, 3])
    state.decide()
    state.unlearn([(1, 4), (6, 9)])
    assert list(state.learned) == [1, 2, 3]
    state.unlearn([(1, 2), (4, 6)])
    again = ClientState(tmp_path)
    assert (list(again.learned), again.accepted) == ([], 1)
    assert again.is_done(RUN, 5), "the round is not done again"


def test_a_pipe_in_its_place_is_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "federation.json")
    for opened in (ClientState, remembered):
        with pytest.raises(FederationError, match="cannot be read"):
            opened(tmp_path)

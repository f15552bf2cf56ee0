"""A participant alone with a test: new models, those that cannot be used, and full disks."""

from pathlib import Path

import numpy as np
import pytest

from edge_client.federation.client_state import ClientState, remembered
from shared.errors import StorageError, WeightsError
from shared.features.prior import Prior, save_prior
from shared.protocol.messages import File
from shared.storage.files import sha256_of
from shared.task import DEFAULT_TASK
from shared.training import Examples
from tests.edge_client.federation.alone import Alone
from tests.edge_client.federation.announcements import model_of
from tests.edge_client.tiny import examples

pytestmark = pytest.mark.usefixtures("tiny")


def test_a_model_that_cannot_be_used_is_a_remark_and_is_tried_again_when_announced_anew(
    it: Alone, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of(it.folder)
    it.trouble = [WeightsError("It holds no such weights.")]
    tried: list[int] = []
    it.play(
        it.connection.connect,
        it.announce(model, state="waiting"),
        it.participant.examples_changed,
        100.0,
        lambda: tried.append(len(it.trouble) + len(it.used)),
        it.announce(model, state="waiting"),
        it.announce(model, state="waiting"),
    )
    assert tried == [0], "once an announcement"
    assert it.used == [model.digest], "and never again when it was used"
    assert [one.getMessage() for one in caplog.records if one.levelname == "WARNING"] == [
        "It holds no such weights."
    ]


def test_the_status_of_a_part_names_the_model_it_has(it: Alone) -> None:
    first, second = model_of(it.folder), model_of(it.folder, 1.0)
    it.play(it.connection.connect, it.announce(first, averaged=second, state="waiting"))
    assert it.used == [second.digest]
    assert remembered(it.folder)["model"] == second.digest
    (it.folder / f"{second.digest}.safetensors").unlink()
    assert remembered(it.folder)["model"] is None


def test_a_remark_about_one_model_is_none_about_the_next(it: Alone) -> None:
    first, second = model_of(it.folder), model_of(it.folder, 1.0)
    it.trouble = [WeightsError("It holds no such weights.")]
    it.play(
        it.connection.connect,
        it.announce(first, state="waiting"),
        it.announce(first, averaged=second, state="waiting"),
    )
    # The second was removed with the first announcement, and is being fetched.
    assert it.used == []
    assert it.states[-1] == "fetching"


def test_a_model_that_a_full_disk_kept_out_is_tried_again_after_a_while(it: Alone) -> None:
    model = model_of(it.folder)
    it.trouble = [StorageError("The disk is full.")]
    it.play(it.connection.connect, it.announce(model, state="waiting"), 29.0, 2.0)
    assert it.used == [model.digest]
    assert "troubled" in it.states


def test_what_is_nobodys_to_fix_ends_it(it: Alone) -> None:
    model = model_of(it.folder)

    def odd(*_: object) -> None:
        raise KeyError("odd")

    it.participant._handover._on_model = odd
    with pytest.raises(KeyError, match="odd"):
        it.play(it.connection.connect, it.announce(model, state="waiting"))
    assert it.connection.closed


def start_of(folder: Path) -> File:
    """Put what statistics begin with where an earlier process of the client would have left it."""
    path = folder / "prior"
    save_prior(path, Prior(np.zeros(34), np.ones(34), 4), DEFAULT_TASK)
    file = File(digest=sha256_of(path), size=path.stat().st_size)
    path.rename(ClientState(folder).path(file.digest))
    return file


def test_it_trains_once_what_statistics_begin_with_was_handed_over(it: Alone) -> None:
    model, start = model_of(it.folder), start_of(it.folder)
    begun: list[Path | None] = []

    def data() -> Examples:
        begun.append(it.begun)
        return examples(8)

    it.data = data
    it.play(it.connection.connect, it.announce(model, statistics=start))
    assert it.used == [model.digest]
    assert begun == [ClientState(it.folder).path(start.digest)]
    assert "sending" in it.states


def test_it_does_not_train_while_what_statistics_begin_with_cannot_be_used(it: Alone) -> None:
    model, start = model_of(it.folder), start_of(it.folder)
    it.trouble = [WeightsError("It is of another task.")]
    it.play(it.connection.connect, it.announce(model, statistics=start))
    assert not it.used
    assert "training" not in it.states
    assert "sending" not in it.states


def test_it_does_not_train_before_it_is_handed_over_that_statistics_begin_with_nothing_again(
    it: Alone,
) -> None:
    first, second, start = model_of(it.folder), model_of(it.folder, 1.0), start_of(it.folder)
    another = it.announce(second, run="b" * 32)

    def fail() -> None:
        model_of(it.folder, 1.0)  # it was removed, as nobody had announced it
        it.trouble = [WeightsError("It cannot be copied.")]

    it.play(
        it.connection.connect,
        it.announce(first, state="waiting", statistics=start),
        fail,
        another,
        lambda: it.reports.append({"state": "announced anew"}),
        another,
    )
    assert it.used == [first.digest, second.digest]
    assert it.begun is None
    assert "training" not in it.states[: it.states.index("announced anew")]
    assert "training" in it.states


def test_other_statistics_to_begin_with_are_handed_over_with_the_same_model(it: Alone) -> None:
    model, start = model_of(it.folder), start_of(it.folder)
    it.play(
        it.connection.connect,
        it.announce(model, state="waiting"),
        lambda: start_of(it.folder),  # it was removed, as nobody had announced it
        it.announce(model, state="waiting", statistics=start),
    )
    assert it.used == [model.digest, model.digest]
    assert it.begun == ClientState(it.folder).path(start.digest)

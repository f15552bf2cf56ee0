"""A device's work of one round: what it trains on, and what it sends for what is asked."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.federation.client_state import ClientState
from edge_client.federation.held_out import hold_out
from edge_client.federation.round_work import RoundWork
from edge_client.federation.terms import TermsSettings
from edge_client.learning.client_round import Assignment, Contribution, client_round
from shared.codecs import Codec, make_codec
from shared.codecs.every_value import EveryValue
from shared.codecs.update_file import UpdateFile
from shared.errors import SettingsError, TrainingError
from shared.protocol.messages import Announcement, Offer
from shared.training import TrainingSettings
from shared.weights import Weights, initial_weights, save_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples
from tests.installed import offer

RUN, SEED = "0" * 32, 3
WEIGHTS = initial_weights(TINY, np.random.default_rng(0))


def work(folder: Path, **fields: Any) -> RoundWork:
    """Make the work of a round; ``fields`` are the announcement's."""
    client_state = ClientState(folder)
    client_state.enter(RUN)
    save_weights(folder / "model", WEIGHTS, TINY)
    digest = hashlib.sha256((folder / "model").read_bytes()).hexdigest()
    (folder / "model").replace(client_state.path(digest))
    training = TrainingSettings(optimizer="sgd", learning_rate=0.01, batch_size=4)
    values = {
        "federation": "chorus",
        "run": RUN,
        "state": "open",
        "round": 2,
        "architecture": "conv",
        "model": {"digest": digest, "size": 1},
        "training": training.model_dump(),
        "codecs": ["int8"],
        "seed": SEED,
        **fields,
    }
    return RoundWork(
        client="anna",
        announcement=Announcement.model_validate(values),
        examples=examples(16, 0),
        holdout=0.3,
        client_state=client_state,
        engine=NumpyEngine(),
        stop=lambda _: False,
        terms=TermsSettings(),
    )


def sent(it: RoundWork, *, control: bool = False) -> UpdateFile:
    """Do the work; open the update."""
    offer = it.run()
    assert isinstance(offer, Offer)
    path = it.client_state.folder / f"{offer.update}.update"
    return UpdateFile(path, make_codec(offer.codec), TINY, ["control"] if control else ())


def test_the_update_is_that_of_the_client_s_round(tmp_path: Path) -> None:
    it = work(tmp_path)
    trained_on, held_out = hold_out(it.examples, it.holdout)
    assert len(held_out)
    expected = client_round(
        Assignment(
            client="anna",
            number=2,
            seed=SEED,
            weights=WEIGHTS,
            examples=trained_on,
            settings=it.announcement.training,
            codec=make_codec("int8"),
            held_out=held_out,
        ),
        NumpyEngine(),
    )
    assert isinstance(expected, Contribution)
    assert sent(it).delta[:].tobytes() == expected.encoded.delta[:].tobytes()
    offer = it.client_state.offer
    assert offer
    assert (offer.examples, offer.loss) == (len(trained_on), expected.loss)
    assert offer.confusion == expected.confusion


@pytest.mark.parametrize(
    "fields",
    [
        {"training": {"optimizer": "sgd", "learning_rate": 0.02, "batch_size": 4}},
        {"seed": 4},
        {"round": 3},
        {"run": "1" * 32},
        {"control": {"digest": "1" * 64, "size": 1}},
        {"model": {"digest": "1" * 64, "size": 1}},
    ],
)
def test_a_training_goes_on_only_where_it_is_asked_for_as_it_began(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    stopped = replace(work(tmp_path), stop=lambda steps: steps == 1)
    assert stopped.run() is None
    assert stopped._stopped_before()
    assert stopped._stopped_before(), "it is still there"
    other = {"round": 2, **stopped.announcement.model_dump(mode="json"), **fields}
    asked = replace(stopped, announcement=Announcement.model_validate(other))
    assert asked._stopped_before() is None


def test_a_training_does_not_go_on_with_what_is_held_out_now(tmp_path: Path) -> None:
    stopped = replace(work(tmp_path), stop=lambda steps: steps == 1)
    assert stopped.run() is None
    others = replace(stopped.examples, keys=stopped.examples.numbers + 100)
    assert replace(stopped, examples=others)._stopped_before() is None
    assert stopped.run() is None
    asked = replace(stopped, holdout=0.5, stop=lambda _: False)
    expected = replace(work(tmp_path / "another"), holdout=0.5)
    assert sent(asked).delta[:].tobytes() == sent(expected).delta[:].tobytes()


def test_a_device_tells_of_no_more_examples_than_its_terms_let_it(
    tmp_path: Path, tiny: None
) -> None:
    del tiny
    it = replace(work(tmp_path), terms=TermsSettings(most_counted=5))
    offer = it.run()
    assert isinstance(offer, Offer)
    assert (offer.examples, offer.confusion) == (5, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"vectors": ["control"], "strategy": "scaffold"},
        {"vectors": ["control"], "strategy": "one.of:OnesOwn"},
        {"protocol": "1.0", "strategy": "scaffold"},
    ],
)
def test_a_control_variate_is_sent_where_it_is_asked_for_whatever_the_strategy(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    control = sent(work(tmp_path, **fields), control=True).control
    assert control is not None
    assert np.linalg.norm(control) > 0


def test_the_server_s_control_variate_counts(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    save_weights(tmp_path / "c" / "file", WEIGHTS, TINY)
    digest = hashlib.sha256((tmp_path / "c" / "file").read_bytes()).hexdigest()
    it = work(tmp_path, control={"digest": digest, "size": 1}, vectors=["control"])
    (tmp_path / "c" / "file").replace(it.client_state.path(digest))
    without = work(tmp_path / "without", vectors=["control"])
    with_it, zero = (sent(one, control=True).control for one in (it, without))
    assert with_it is not None
    assert zero is not None
    assert np.asarray(with_it).tobytes() != np.asarray(zero).tobytes()


def test_a_vector_that_this_device_cannot_compute_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="asks for curvature, which this device cannot"):
        work(tmp_path, vectors=["control", "curvature"]).run()


@pytest.mark.parametrize(
    ("codecs", "taken"),
    [
        (["int8-channel", "top10-sign", "float32"], "top10-sign"),
        (["tests.edge_client.federation.test_round_work:Halves", "float32"], "float32"),
        (["zip", "int8"], "int8"),
    ],
)
def test_the_first_codec_that_is_there_is_taken(
    tmp_path: Path, codecs: list[str], taken: str
) -> None:
    offer = work(tmp_path, codecs=codecs).run()
    assert isinstance(offer, Offer)
    assert offer.codec == taken


@pytest.mark.parametrize("name", ["top1-int8", "antigravity:fly"])
def test_no_codec_that_is_there_is_said_and_nothing_is_imported(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainingError, match=f"no codec that this device knows: {name}"):
        work(tmp_path, codecs=[name]).run()
    assert "antigravity" not in sys.modules


class Halves(EveryValue):
    """A codec of one's own: every value as bfloat16 would have it, in two bytes."""

    name = "halves"
    dtype = "U16"

    def write(self, values: Weights, along: Weights, rng: np.random.Generator) -> NDArray[Any]:
        del along, rng
        return (values.view(np.uint32) >> 16).astype(np.uint16)

    def read(self, numbers: NDArray[Any], along: Weights) -> Weights:
        del along
        return (numbers.astype(np.uint32) << 16).view(np.float32)


def test_a_codec_of_an_installed_package_is_used_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"halves": f"{__name__}:Halves", "broken": "nowhere:Codec"}
    offer(tmp_path, monkeypatch, "chorus.codecs", **points)
    it = work(tmp_path / "state", codecs=["broken", "halves", "int8"])
    delta = sent(it).delta
    assert it.client_state.offer
    assert it.client_state.offer.codec == "halves"
    assert not (np.asarray(delta).view(np.uint32) & 0xFFFF).any()
    assert np.linalg.norm(delta) > 0


def test_a_codec_of_one_s_own_is_named_by_its_module_on_a_workstation() -> None:
    assert isinstance(make_codec(f"{__name__}:Halves"), Codec)
    with pytest.raises(
        SettingsError, match=r"is not a valid codec: it should be a shared\.codecs\.Codec"
    ):
        make_codec(f"{__name__}:work")


def test_training_of_fewer_steps_than_the_device_s_terms_is_refused(tmp_path: Path) -> None:
    it = work(tmp_path)
    trained_on, _ = hold_out(it.examples, it.holdout)
    steps = it.announcement.training.total_steps(len(trained_on))
    assert replace(it, terms=TermsSettings(fewest_steps=steps)).run()
    with pytest.raises(TrainingError, match=f"a step count of {steps}, and .* for {steps + 1} or"):
        replace(it, terms=TermsSettings(fewest_steps=steps + 1)).run()


def test_it_says_on_how_many_examples_it_trains(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    it = work(tmp_path)
    trained_on, held_out = hold_out(it.examples, it.holdout)
    assert len(held_out)
    with caplog.at_level("INFO"):
        it.run()
    assert f"training on {len(trained_on)} examples" in caplog.text

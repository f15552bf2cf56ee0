"""A client's round: what goes in and comes out can be sent, and it does not matter where it is."""

import pickle
import subprocess
import sys
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.learning.client_round import Assignment, Contribution, client_round
from edge_client.learning.training import Progress
from shared.codecs import make_codec
from shared.codecs.float32 import Float32
from shared.codecs.ring import Ring, RingCodec
from shared.training import TrainingSettings
from shared.weights import Weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples

SGD = TrainingSettings(optimizer="sgd", learning_rate=0.01, batch_size=4)


def vector(seed: int, scale: float = 0.1) -> Weights:
    return np.random.default_rng(seed).standard_normal(TINY.parameters, np.float32) * np.float32(
        scale
    )


def assignment(codec: str = "int8", **changed: Any) -> Assignment:
    plain = Assignment(
        client="anna",
        number=3,
        seed=5,
        weights=vector(1),
        examples=examples(13, 0),
        settings=SGD,
        codec=make_codec(codec),
    )
    return replace(plain, **changed)


def done(outcome: Contribution | Progress) -> Contribution:
    assert isinstance(outcome, Contribution)
    return outcome


def facts(outcome: Contribution) -> tuple[Any, ...]:
    """Give every bit of a contribution."""
    encoded, own = outcome.encoded, outcome.own_control
    return (
        {name: (array.dtype.str, array.tobytes()) for name, array in encoded.tensors.items()},
        dict(encoded.metadata),
        encoded.delta[:].tobytes(),
        None if encoded.control is None else encoded.control[:].tobytes(),
        None if encoded.residual is None else encoded.residual.tobytes(),
        None if own is None else own.tobytes(),
        (outcome.examples, outcome.loss, outcome.confusion),
    )


def test_a_secure_round_takes_no_more_of_what_was_left_out_than_it_has_learned() -> None:
    """Else all could be asked for nothing, and one that had something left would be seen alone."""
    ring = Ring(bits=16, clients=1, heaviest=13, octaves=(0,) * len(TINY.manifest))
    residual = vector(9, scale=0.5)
    nothing = SGD.model_copy(update={"learning_rate": 1e-9})
    for asked, most in ((nothing, 1e-4), (SGD, 1.0)):
        plain = assignment(codec="float32", settings=asked)
        learned = done(client_round(plain, NumpyEngine())).encoded.delta[:]
        secure = replace(plain, codec=RingCodec(ring, 13), residual=residual)
        sent = done(client_round(secure, NumpyEngine())).encoded.delta[:]
        assert np.all(np.abs(sent - learned) <= np.abs(learned) + 2.0**-15)
        assert np.abs(sent).max() < most
    assert np.abs(sent - learned).max() > 2.0**-14, "some of it comes along"


class Elsewhere:
    """Another process, which does a round of what is sent to it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def round(self, work: Assignment) -> Contribution:
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump(work, self._process.stdin)
        self._process.stdin.flush()
        found = pickle.load(self._process.stdout)  # noqa: S301 -- from our own process
        assert isinstance(found, Contribution)
        return found

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def elsewhere() -> Any:
    process = Elsewhere()
    yield process
    process.close()


@given(
    codec=st.sampled_from(["float32", "float16", "int8", "sign", "top10-sign", "top5-int8"]),
    control=st.booleans(),
    own=st.booleans(),
    residual=st.booleans(),
    held_out=st.booleans(),
    count=st.integers(1, 20),
    seed=st.integers(0, 1 << 40),
)
@settings(max_examples=40, deadline=None)
def test_the_same_work_gives_the_same_bits_in_another_process(
    elsewhere: Elsewhere,
    codec: str,
    control: bool,  # noqa: FBT001 -- drawn
    own: bool,  # noqa: FBT001 -- drawn
    residual: bool,  # noqa: FBT001 -- drawn
    held_out: bool,  # noqa: FBT001 -- drawn
    count: int,
    seed: int,
) -> None:
    work = assignment(
        codec,
        seed=seed,
        examples=examples(count, 1),
        control=vector(2) if control else None,
        own_control=vector(3) if own else None,
        residual=vector(4, 1e-3) if residual else None,
        held_out=examples(9, 5) if held_out else None,
    )
    here = done(client_round(work, NumpyEngine()))
    assert facts(elsewhere.round(work)) == facts(here)
    assert (here.own_control is None) == (not control)
    assert (here.confusion is None) == (not held_out)


@pytest.mark.parametrize("step", [0, 1, 3])
def test_what_was_stopped_goes_on_to_the_same_bits(step: int) -> None:
    work = assignment(control=vector(2))
    stopped = client_round(work, NumpyEngine(), lambda taken: taken == step)
    assert isinstance(stopped, Progress)
    sent = pickle.loads(pickle.dumps(stopped))  # noqa: S301 -- our own
    resumed = client_round(replace(work, progress=sent), NumpyEngine())
    assert facts(done(resumed)) == facts(done(client_round(work, NumpyEngine())))


def test_a_client_s_control_variate_moves_by_what_was_sent() -> None:
    own = vector(3)
    outcome = done(client_round(assignment(control=vector(2), own_control=own), NumpyEngine()))
    assert outcome.encoded.control is not None
    assert outcome.own_control is not None
    np.testing.assert_array_equal(outcome.own_control, own + outcome.encoded.control[:])


def test_a_round_leaves_what_it_is_given_as_it_is() -> None:
    work = assignment(control=vector(2), own_control=vector(3), residual=vector(4))
    before = pickle.dumps(work)
    client_round(work, NumpyEngine())
    assert pickle.dumps(work) == before


def test_the_global_weights_are_let_go_before_the_update_is_encoded() -> None:
    weights = vector(1)
    alive = weakref.ref(weights)
    seen = []

    class Looking(Float32):
        def encode(self, *arguments: Any) -> Any:
            seen.append(alive() is None)
            return super().encode(*arguments)

    class Forgetful(NumpyEngine):
        def release(self) -> None:
            self._weights = self._anchor = np.empty(0, np.float32)

    made = [replace(assignment(weights=weights), codec=Looking())]
    del weights
    client_round(made.pop(), Forgetful(), release=True)
    assert seen == [True]


def serve() -> None:
    """Be that other process."""
    while True:
        try:
            work = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from the test that started this
        except EOFError:
            return
        pickle.dump(client_round(work, NumpyEngine()), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()


@pytest.mark.parametrize("codec", ["float32", "int8", "sign", "top5-int8"])
def test_an_update_is_no_longer_than_the_round_allows(codec: str) -> None:
    free = done(client_round(assignment(codec), NumpyEngine()))
    most = 0.5 * float(np.linalg.norm(free.encoded.delta))
    bounded = SGD.model_copy(update={"clip_norm": most})
    outcome = done(client_round(assignment(codec, settings=bounded), NumpyEngine()))
    assert 0.5 * most < np.linalg.norm(outcome.encoded.delta) <= most

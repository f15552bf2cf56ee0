"""Secure rounds between real processes, by invitation, at the aggregator's own broker."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from aggregator.secure.progress import progress_of
from edge_client.simulation.federation import client_name
from shared.architectures import architecture_of
from shared.front_ends import WHISPER
from shared.secure.terms import Stage
from shared.task import DEFAULT_TASK, Task
from shared.weights import load_weights
from tests.end_to_end.federation.clips import (
    MORE_SPEAKERS,
    ROUNDS,
    Clips,
    simulated_securely,
)
from tests.end_to_end.federation.joining import ByInvitation, JoinedOnce
from tests.end_to_end.federation.processes import PATIENCE

pytestmark = pytest.mark.usefixtures("environment")

DEVICES = MORE_SPEAKERS - 1
TASK = Task(DEFAULT_TASK.labels, WHISPER)
EVERYBODY = range(DEVICES)
STAGES = [stage for stage in Stage if stage not in (Stage.DONE, Stage.ABANDONED)]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> JoinedOnce:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHORUS_CACHE", str(cache))
        clips = Clips.write(home, TASK, MORE_SPEAKERS)
    return JoinedOnce(home, clips, DEVICES, "head")


@contextmanager
def joined(once: JoinedOnce, seconds: int, rounds: int = ROUNDS) -> Iterator[ByInvitation]:
    """Give a federation whose devices have joined, with so many seconds for each stage."""
    words = f"--secure --quorum {DEVICES} --round-seconds {seconds} --rounds {rounds}"
    with once.begun(*words.split()) as them:
        yield them


@pytest.fixture
def it(once: JoinedOnce, environment: None) -> Iterator[ByInvitation]:
    del environment
    with joined(once, 20) as them:
        yield them


def test_they_end_in_the_bits_of_the_simulation(it: ByInvitation) -> None:
    for number in EVERYBODY:
        it.run(number, it.port)
    it.finish(simulated_securely(it.clips.whole, TASK, [EVERYBODY] * ROUNDS), DEVICES)


def test_an_aggregator_that_is_killed_at_each_step_of_a_round_goes_on_to_the_same_bits(
    once: JoinedOnce,
) -> None:
    """When one word more is on the disk, when a stage has ended, and before the sum is used."""
    steps = [f"after aggregator.secure.round:SecureRound.{done}" for done in ("take", "close")]
    last = "before aggregator.rounds.secure_rounds:SecureRounds.sum"
    with joined(once, seconds=round(2 * PATIENCE)) as it:
        # Else devices wait longer each time before they look whether it is there again.
        it.waits = {"shared.mqtt.backoff:_HELD": 0}
        for number in EVERYBODY:
            it.run(number, it.port)
        reached = []
        assert it.aggregator
        it.aggregator.kill()
        for step in [*steps * len(STAGES), last]:
            still = it.start(step)
            it.wait(partial(still.said, "It stands still"), step)
            still.kill()
            found = progress_of(it.state.secure_round(1))
            reached.append(found.stage if found else Stage.DONE)
        assert reached[0] is Stage.KEYS
        assert reached[1::2] == reached[2::2] == [*STAGES[1:], Stage.DONE]
        it.start()
        it.finish(simulated_securely(it.clips.whole, TASK, [EVERYBODY] * ROUNDS), DEVICES)


def test_with_a_device_killed_on_the_way_the_others_end_in_the_bits_of_their_simulation(
    it: ByInvitation,
) -> None:
    for number in EVERYBODY[1:]:
        it.run(number, it.port)
    stands = it.run(0, it.port, still="before edge_client.secure.client:SecureClient.masked")
    it.wait(lambda: stands.said("It stands still"), "it is at that stage")
    stands.kill()
    it.wait(lambda: it.reached(1, "done"), "the round is done")
    survivors = EVERYBODY[1:]
    assert it.clients(1) == [client_name(number) for number in survivors]
    expected = simulated_securely(it.clips.whole, TASK, [survivors])
    version = it.read(lambda history: history.version(2))
    path = it.state.models / f"{version.digest}.safetensors"
    assert load_weights(path, architecture_of("head", TASK)).tobytes() == expected.tobytes()
    assert "Traceback" not in it.said


def test_nobody_waits_for_a_device_that_is_started_anew_before_it_signs_or_masks(
    once: JoinedOnce,
) -> None:
    place = "before edge_client.secure.client:SecureClient"
    with joined(once, seconds=round(2 * PATIENCE)) as it:
        for number in EVERYBODY[1:]:
            it.run(number, it.port)
        first = it.run(0, it.port, still=f"{place}.consent")
        it.wait(lambda: first.said("It stands still"), "it is asked to sign")
        first.kill()
        second = it.run(0, it.port, still=f"{place}.masked")
        it.wait(lambda: second.said("started anew in the secure round 1"), "it cannot sign")
        it.wait(lambda: second.said("It stands still"), "it is to mask the next update")
        second.kill()
        third = it.run(0, it.port)
        it.wait(lambda: third.said("started anew in the secure round 2"), "it cannot mask")
        it.wait(lambda: it.reached(2, "done"), "all rounds are done")
        assert len(it.clients(1)) == DEVICES, "its update was there before it had to sign"
        assert it.clients(2) == [client_name(number) for number in EVERYBODY[1:]]
        rounds = [EVERYBODY, EVERYBODY[1:]]
        assert it.weights().tobytes() == simulated_securely(it.clips.whole, TASK, rounds).tobytes()
        assert "Traceback" not in it.said

"""Secure rounds between real processes, by invitation, at the aggregator's own broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_client.simulation.federation import client_name
from shared.architectures import architecture_of
from shared.front_ends import WHISPER
from shared.task import DEFAULT_TASK, Task
from shared.weights import load_weights
from tests.end_to_end.federation.clips import (
    MORE_SPEAKERS,
    ROUNDS,
    Clips,
    simulated_securely,
)
from tests.end_to_end.federation.joining import ByInvitation

pytestmark = pytest.mark.usefixtures("environment")

DEVICES = MORE_SPEAKERS - 1
TASK = Task(DEFAULT_TASK.labels, WHISPER)
EVERYBODY = range(DEVICES)


@pytest.fixture
def it(tmp_path: Path, environment: None) -> Iterator[ByInvitation]:
    del environment
    clips = Clips.write(tmp_path, TASK, MORE_SPEAKERS)
    words = ("--secure", "--quorum", str(DEVICES), "--round-seconds", "20")
    with ByInvitation(tmp_path, clips, *words, model="head") as them:
        them.start()
        them.all_join(DEVICES)
        yield them


def test_they_end_in_the_bits_of_the_simulation(it: ByInvitation) -> None:
    for number in EVERYBODY:
        it.run(number, it.port)
    it.finish(simulated_securely(it.clips.whole, TASK, [EVERYBODY] * ROUNDS), DEVICES)


def test_an_aggregator_that_is_killed_before_it_uses_the_sum_goes_on_to_the_same_bits(
    it: ByInvitation,
) -> None:
    assert it.aggregator
    it.aggregator.kill()
    still = it.start("before aggregator.rounds.secure_rounds:SecureRounds.sum")
    for number in EVERYBODY:
        it.run(number, it.port)
    it.wait(lambda: still.said("It stands still"), "the sum is there")
    still.kill()
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

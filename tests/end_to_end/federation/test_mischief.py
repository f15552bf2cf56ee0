"""Whatever happens on the way, a federation ends in the weights of its simulation."""

import os
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edge_client.simulation.federation import client_name
from tests.end_to_end.federation.mischief import Mischief, mischiefs
from tests.end_to_end.federation.network import Link, Message
from tests.end_to_end.federation.world import CLIENTS, ROUNDS, VARIANTS, World, simulated, world

MODELS = "chorus/chorus/models/"

EXAMPLES = int(os.environ.get("CHORUS_MISCHIEF", "25"))
"""More are for who looks for bugs."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_undisturbed_it_ends_in_the_weights_of_its_simulation(variant: str) -> None:
    aggregator, simulation = VARIANTS[variant]
    with world(**aggregator) as it:
        it.settle()
        it.check(simulated(**simulation))


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(variant=st.sampled_from(list(VARIANTS)), what_happens=mischiefs())
def test_whatever_happens_it_ends_in_those_weights(
    variant: str, what_happens: list[Mischief]
) -> None:
    aggregator, simulation = VARIANTS[variant]
    with world(**aggregator) as it:
        it.start()
        for mischief in what_happens:
            mischief.happen(it)
        it.settle()
        it.check(simulated(**simulation))


def test_killed_before_it_could_tell_the_end_the_aggregator_tells_it_later() -> None:
    with world() as it:
        it.settle(until=lambda: reached(it, ROUNDS, "done"))
        it.kill_server()
        it.settle()
        it.check(simulated())


@pytest.mark.parametrize("client", range(CLIENTS))
def test_killed_while_it_sends_the_client_sends_the_same(client: int) -> None:
    with world() as it:
        it.settle(until=lambda: uploading(it, client))
        it.kill_client(client)
        it.settle()
        it.check(simulated())
        assert it.server
        assert not it.server.federation.ledger.refusals()


def test_a_client_that_never_answers_is_waited_for_until_the_deadline() -> None:
    with world(round_seconds=100) as it:
        it.fate = lambda link, message: [message] if link.name != "client-00001" else []
        it.settle()
        assert it.server
        ledger = it.server.federation.ledger
        for number in (1, 2):
            assert [update.client for update in ledger.updates(number)] == ["client-00000"]
        np.testing.assert_array_equal(it.weights, simulated(clients=1))


@pytest.mark.parametrize("number", [1, 2])
def test_another_run_of_the_federation_begins_anew(number: int) -> None:
    with world() as it:
        it.settle(until=lambda: reached(it, number, "open") and uploading(it, 0))
        it.kill_server()
        shutil.rmtree(it.settings.folder)
        it.settle()
        it.check(simulated())


def reached(it: World, number: int, state: str) -> bool:
    assert it.server
    record = it.server.federation.ledger.round(number)
    return record is not None and record.state == state


def uploading(it: World, number: int) -> bool:
    parts = it.settings.folder.glob(f"uploads/{client_name(number)}-*.part")
    return any(path.stat().st_size for path in parts)


@pytest.mark.parametrize("codec", ["none", "int8"])
def test_who_has_the_model_before_is_sent_the_difference(codec: str) -> None:
    with world(download_codec=codec) as it:
        sent: set[str] = set()

        def note(_: Link, message: Message) -> list[Message]:
            topic = message[0]
            if topic.startswith(MODELS):
                sent.add(topic.removeprefix(MODELS))
            return [message]

        it.fate = note
        it.settle()
        it.check(simulated(download_codec=codec))
        assert it.server
        first, *later = reversed(it.server.federation.ledger.versions())
        assert sent - {"probe"} == {first.digest, *(one.difference or one.digest for one in later)}
        assert all((one.difference is None) == (codec == "none") for one in later)

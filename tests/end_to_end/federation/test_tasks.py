"""Federations of other labels, and devices that recognise something else."""

import logging

import pytest

from shared.protocol.topics import Topics
from tests.end_to_end.federation.network import Link, Message
from tests.end_to_end.federation.world import VARIANTS, simulated, world

EIGHT = ("angry", "happy", "neutral", "sad", "fearful", "disgusted", "surprised", "calm")
MIXED = ("calm", "sad", "happy", "angry")


@pytest.mark.parametrize("variant", ["fedavg", "scaffold"])
def test_a_federation_of_eight_labels_ends_in_the_bits_of_its_simulation(variant: str) -> None:
    served, same = VARIANTS[variant]
    with world(labels=EIGHT, **served) as it:
        it.settle()
        it.check(simulated(labels=EIGHT, **same))
        assert it.server
        assert it.server.federation.architecture.task.names == EIGHT
    assert len(simulated(labels=EIGHT, **same)) > len(simulated(**same))


@pytest.mark.parametrize("labels", [MIXED, EIGHT])
def test_a_device_of_another_task_says_once_what_differs_and_does_nothing(
    labels: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked: list[Message] = []

    def note(_: Link, message: Message) -> list[Message]:
        topic = Topics("chorus").requests("client-00000")
        if message[0] == topic:
            asked.append(message)
        return [message]

    with world(labels=labels) as it:
        it.client_labels = ("angry", "happy", "neutral", "sad")
        it.fate = note
        it.start()
        it.rest()
        # What is announced again is not said again.
        assert it.server
        it.network.cut(it.server.link)
        it.rest()
        said = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
        sentence = (
            "The federation chorus is of another task: it recognises "
            f"{', '.join(labels)} instead of angry, happy, neutral, sad. Start this device with "
            f"--labels {','.join(labels)} to take part."
        )
        assert said.count(sentence) == len(it.clients)
        assert not asked
        ledger = it.server.federation.ledger
        assert not ledger.updates(1)
        # Nor is a round opened for them: it would wait for what never comes.
        assert ledger.last_round() is None
        assert [client.trains for client in ledger.clients()] == [False] * len(it.clients)
        assert ledger.refusals() == []

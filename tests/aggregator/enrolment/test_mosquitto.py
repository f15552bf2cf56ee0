"""What becomes of those who wait for an account while the broker says nothing of it."""

import json
from functools import partial
from pathlib import Path

from aggregator.enrolment.invitations import invite
from aggregator.enrolment.members import Members
from aggregator.enrolment.mosquitto import MosquittoAccounts
from shared.protocol.topics import Topics
from tests.loop_driver import LoopDriver

TOPICS = Topics("chorus")


def answer(**response: object) -> bytes:
    return json.dumps({"responses": [response]}).encode()


def test_who_asks_again_and_again_is_answered_once(tmp_path: Path) -> None:
    said: list[bytes] = []
    done: list[int] = []
    with Members(tmp_path / "members.sqlite") as members:
        invite(members, TOPICS, "attic", hours=1, again=False)
        plugin = MosquittoAccounts(
            members, TOPICS, LoopDriver().loop, lambda _, payload: said.append(payload)
        )
        plugin.connected()
        plugin.hear(answer(command="listClients", data={"clients": []}))
        guest = TOPICS.guest("attic")
        for number in range(1000):
            plugin.when_there(guest, partial(done.append, number))
        assert done == []
        assert sum(b"createClient" in payload for payload in said) == 1
        plugin.hear(answer(command="createClient", correlationData=guest))
        assert done == [999], "the last request is the one that its device waits for"
        plugin.when_there(guest, partial(done.append, 1000))
        assert done == [999, 1000], "it is there"

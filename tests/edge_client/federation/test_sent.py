"""What has left a device is written down before it goes, and once."""

import os
from pathlib import Path

import pytest

from edge_client.federation.sent import LISTED, Sent, sent_updates
from shared.errors import FederationError, StorageError
from shared.protocol.messages import Offer
from tests.edge_client.federation.announcements import RUN


def offer(number: int, **values: object) -> Offer:
    facts = {
        "update": f"{number:064x}",
        "size": 1000 + number,
        "run": RUN,
        "round": number,
        "model": "0" * 64,
        "codec": "int8",
        "examples": 12,
        "confusion": [[1, 0], [2, 0]],
    }
    return Offer.model_validate(facts | values)


def test_each_update_is_listed_once_the_newest_first_and_survives_the_process(
    tmp_path: Path,
) -> None:
    sent = Sent(tmp_path)
    sent.note(offer(1))
    sent.note(offer(2, confusion=None))
    sent.note(offer(2, confusion=None))
    for known in (sent.updates, sent_updates(tmp_path), Sent(tmp_path).updates):
        assert (known.updates, known.bytes) == (2, 2003)
        assert [(one.round, one.bytes, one.scored) for one in known.latest] == [
            (2, 1002, 0),
            (1, 1001, 3),
        ]


def test_the_list_is_bounded_and_the_sums_are_not(tmp_path: Path) -> None:
    sent = Sent(tmp_path)
    for number in range(1, LISTED + 6):
        sent.note(offer(number))
    assert (sent.updates.updates, len(sent.updates.latest)) == (LISTED + 5, LISTED)
    assert sent.updates.to_dict(1)["latest"][0]["round"] == LISTED + 5
    assert sent.shown == sent.updates.to_dict(10)


def test_what_cannot_be_written_down_is_not_noted(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "gone")
    (tmp_path / "gone").write_text("no folder")
    with pytest.raises(StorageError):
        sent.note(offer(1))
    assert sent.updates.updates == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"updates": -1}', '{"latest": [{}]}'])
def test_a_damaged_list_is_said_with_a_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "sent.json").write_text(content)
    with pytest.raises(FederationError, match="cannot be read") as caught:
        Sent(tmp_path)
    assert "Remove the file" in caught.value.remedy


def test_a_pipe_in_its_place_is_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sent.json")
    with pytest.raises(FederationError, match="cannot be read"):
        Sent(tmp_path)

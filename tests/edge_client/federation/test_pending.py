"""Finished updates that a process finds on the disk: what it looks at before it offers them."""

from pathlib import Path
from typing import Any

import pytest

from edge_client.federation.client_state import ClientState, remembered
from shared.protocol.messages import File, Offer, Received
from shared.secure_round import CODEC
from tests.edge_client.federation.alone import Alone
from tests.edge_client.federation.announcements import RUN, model_of
from tests.edge_client.federation.secure_alone import secure_round, words_of

pytestmark = pytest.mark.usefixtures("tiny")


def offers_of(it: Alone) -> list[Offer]:
    return [one for one in it.connection.take() if isinstance(one, Offer)]


def train(folder: Path, **values: Any) -> tuple[File, Path]:
    """Leave a finished update that nobody has answered; give the round's model, and its file."""
    it = Alone(folder, **values)
    model = model_of(folder)
    it.play(it.connection.connect, it.announce(model))
    (file,) = folder.glob("*.update")
    return model, file


def mask(folder: Path) -> Path:
    """Leave a masked update of round 1 whose process is gone; give its file."""
    state = ClientState(folder / "part")
    state.enter(RUN)
    digest, size = state.write_update(lambda path: path.write_bytes(b"masked"))
    offer = Offer(
        update=digest, size=size, run=RUN, round=1, model="1" * 64, codec=CODEC, examples=1
    )
    state.finish(offer, residual=None, control=None, learned=[*range(8)])
    return state.update


@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_an_update_that_is_lost_is_never_offered_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    model, file = train(tmp_path)
    file.unlink() if content is None else file.write_bytes(content)
    it, offers = Alone(tmp_path), list[Offer]()
    caplog.clear()
    it.play(
        *(it.connection.connect, it.announce(model), 300.0, it.announce(model), 300.0),
        lambda: offers.extend(offers_of(it)),
        *(it.announce(model, round=2), lambda: offers.extend(offers_of(it))),
    )
    assert [offer.round for offer in offers] == [2], "it goes on"
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warnings == [f"The update of round 1 is lost: its file {file} is missing or damaged."]
    assert not [one for one in caplog.records if one.exc_info]


def test_what_became_of_an_update_that_is_lost_is_in_the_status(tmp_path: Path) -> None:
    model, file = train(tmp_path)
    file.unlink()
    it = Alone(tmp_path)
    it.play(it.connection.connect, it.announce(model))
    found = remembered(tmp_path)
    assert (found["round"], found["waiting"]) == (1, False)
    assert "is lost" in found["refused"]
    assert it.participant._client_state.is_done(RUN, 1)


def test_an_update_that_is_lost_on_its_way_is_sent_no_more(
    it: Alone, caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of(it.folder)

    def lose() -> None:
        (offer,) = offers_of(it)
        (file,) = it.folder.glob("*.update")
        file.write_bytes(file.read_bytes()[:-1])
        it.reply(Received(update=offer.update, ranges=[], window=1 << 20))

    it.play(it.connection.connect, it.announce(model), lose, 60.0)
    assert it.participant._client_state.offer is None
    assert "is lost" in caplog.text
    assert not offers_of(it)


def test_a_member_whose_masked_update_is_lost_declines_the_round(tmp_path: Path) -> None:
    mask(tmp_path).unlink()
    it, announce = secure_round(tmp_path)
    it.play(it.connection.connect, announce, 60.0)
    assert words_of(it) == ["secure-declined"]
    assert it.participant._client_state.offer is None

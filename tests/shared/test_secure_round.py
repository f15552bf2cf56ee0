"""The terms of an announced secure round: who was asked for anything else is in another round."""

from typing import Any

import pytest

from shared.architectures import architecture_of
from shared.codecs.ring import Ring
from shared.errors import SecureError
from shared.front_ends import WHISPER
from shared.protocol.messages import Announcement, File
from shared.protocol.secure_offer import SecureOffer
from shared.secure import masked_update
from shared.secure.terms import Terms
from shared.secure_round import ring_of, terms_of
from shared.tally import ring_size
from shared.task import DEFAULT_TASK, Task
from shared.training import TrainingSettings
from tests.edge_client.federation.announcements import announcement
from tests.edge_client.tiny import TINY

KEY, OTHER = "ab" * 32, "cd" * 32
MODEL = File(digest="0" * 64, size=1)
SECURE = SecureOffer(
    bits=13,
    examples=100,
    octaves=[0] * len(TINY.manifest),
    fewest=3,
    devices={"anna": KEY, "ben": KEY, "cleo": KEY},
)


def terms(secure: SecureOffer = SECURE, **values: Any) -> Terms:
    announced = announcement(values.pop("model", MODEL), secure=secure, **values)
    return terms_of(announced, secure, TINY)


def test_both_sides_make_the_same_terms_of_what_was_announced() -> None:
    heard = Announcement.decode(announcement(MODEL, secure=SECURE).encode())
    assert heard.secure
    assert terms_of(heard, heard.secure, TINY) == terms()
    assert ring_of(heard.secure).clients == 3


@pytest.mark.parametrize(
    "values",
    [
        {"training": TrainingSettings(learning_rate=1e-30)},
        {"model": File(digest="1" * 64, size=1)},
        {"control": MODEL},
        {"statistics": MODEL},
        {"seed": 4},
        {"round": 2},
        {"run": "1" * 32},
    ],
)
def test_whoever_is_asked_for_another_update_is_in_another_round(values: dict[str, Any]) -> None:
    assert terms(**values).identity != terms().identity


@pytest.mark.parametrize(
    "changes",
    [
        {"octaves": [60] * len(TINY.manifest)},
        {"examples": 10_000},
        {"bits": 12},
        {"fewest": 4},
        {"devices": {"anna": KEY, "ben": KEY, "cleo": OTHER}},
        {"devices": {"anna": KEY, "ben": KEY, "cleo": KEY, "dora": KEY}},
    ],
)
def test_whoever_is_told_of_other_values_or_devices_is_in_another_round(
    changes: dict[str, Any],
) -> None:
    assert terms(SECURE.model_copy(update=changes)).identity != terms().identity


@pytest.mark.parametrize(
    ("model", "clients", "most"), [("conv", 32, 1.7), ("conv", 8, 1.7), ("head", 100, 1.75)]
)
def test_a_masked_update_has_hardly_more_bytes_than_int8(
    model: str, clients: int, most: float
) -> None:
    front_end = WHISPER if model == "head" else DEFAULT_TASK.front_end
    architecture = architecture_of(model, Task(DEFAULT_TASK.labels, front_end))
    ring = Ring(13, clients, 100, (0,) * len(architecture.manifest))
    length = ring_size(ring, architecture)
    size = masked_update.size(Terms("chorus", "0" * 32, 1, length, ring.bits))
    assert size <= most * architecture.parameters
    assert model == "conv" or size < 20_000


@pytest.mark.parametrize("changes", [{"devices": {}}, {"octaves": [0]}])
def test_what_can_be_no_round_has_no_terms(changes: dict[str, Any]) -> None:
    with pytest.raises(SecureError, match="announced of nobody") as caught:
        terms(SECURE.model_copy(update=changes))
    assert caught.value.reason == "damaged"

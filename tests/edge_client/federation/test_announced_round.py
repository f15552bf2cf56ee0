"""What a round asks of a client."""

from typing import Any

import pytest

from edge_client.federation.announced_round import AnnouncedRound
from shared.errors import ProtocolError
from shared.features.start_file import LARGEST_START
from shared.protocol.messages import File
from tests.edge_client.federation.announcements import RUN, announcement

MODEL, AVERAGED, CONTROL = (File(digest=digit * 64, size=1000) for digit in "123")


def read(**values: Any) -> AnnouncedRound:
    return AnnouncedRound(announcement(MODEL, **values), "kitchen")


@pytest.mark.parametrize(
    ("values", "invited"),
    [
        ({}, True),
        ({"clients": ["kitchen", "hall"]}, True),
        ({"clients": ["hall"]}, False),
        ({"state": "waiting"}, False),
        ({"state": "finished"}, False),
    ],
)
def test_an_open_round_invites_those_it_names_or_all(
    values: dict[str, Any], *, invited: bool
) -> None:
    assert read(**values).invites == invited


def test_who_does_not_train_needs_the_model_to_recognise_with() -> None:
    assert read().files(training=False) == [MODEL]
    assert read(averaged=AVERAGED).files(training=False) == [AVERAGED]
    assert read(averaged=AVERAGED).recognises == AVERAGED


def test_who_trains_needs_each_file_once() -> None:
    assert read().files(training=True) == [MODEL]
    everything = read(averaged=AVERAGED, control=CONTROL)
    assert everything.files(training=True) == [MODEL, CONTROL, AVERAGED]
    assert everything.key == (RUN, 1)


def test_everybody_needs_what_statistics_begin_with() -> None:
    begun = File(digest="4" * 64, size=1000)
    assert read(statistics=begun).files(training=False) == [MODEL, begun]
    assert read(statistics=begun).files(training=True) == [MODEL, begun]


def test_what_statistics_begin_with_is_bounded() -> None:
    read(statistics=File(digest="4" * 64, size=LARGEST_START)).check("chorus")
    with pytest.raises(ProtocolError, match="statistics to begin with; 16777216 are taken at most"):
        read(statistics=File(digest="4" * 64, size=LARGEST_START + 1)).check("chorus")


@pytest.mark.parametrize("which", ["model", "averaged", "control"])
def test_a_file_larger_than_any_model_is_not_believed(which: str) -> None:
    giant = File(digest="4" * 64, size=1 << 30)
    read(averaged=AVERAGED, control=CONTROL).check("chorus")
    with pytest.raises(ProtocolError, match="at most"):
        AnnouncedRound(announcement(MODEL).model_copy(update={which: giant}), "kitchen").check(
            "chorus"
        )


def test_another_federations_announcement_is_not_believed() -> None:
    with pytest.raises(ProtocolError, match="another federation"):
        read().check("other")


@pytest.mark.parametrize(
    ("noise_by", "noise", "said"),
    [
        ("devices", 0.0, "is the devices', and it asks devices for none"),
        ("aggregator", 2.5, "is the aggregator's, and it asks devices for some"),
        ("devices", 2.5, ""),
        ("aggregator", None, ""),
        ("devices", None, "is the devices', and it asks devices for none"),
    ],
)
def test_a_budget_whose_noise_is_not_asked_for_is_not_believed(
    noise_by: str, noise: float | None, said: str
) -> None:
    privacy = {"epsilon": 8, "delta": 1e-5, "rounds": 9, "noise_by": noise_by}
    ring = {"bits": 16, "examples": 1, "octaves": [], "fewest": 3, "devices": {}, "noise": noise}
    found = read(privacy=privacy, secure=None if noise is None else ring)
    if not said:
        found.check("chorus")
        return
    with pytest.raises(ProtocolError, match=said) as caught:
        found.check("chorus")
    assert caught.value.problem.startswith("An announcement contradicts itself")

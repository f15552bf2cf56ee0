"""What a round asks of a client."""

import math
from typing import Any

import pytest

from aggregator.strategies.shared_noise import ConcentratedBudget
from edge_client.federation.announced_round import AnnouncedRound
from edge_client.federation.promised_noise import least_delta
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


def private(privacy: dict[str, Any], octaves: list[int], **values: Any) -> AnnouncedRound:
    """Announce an open round whose devices add the noise of this budget, or some other noise."""
    clip_norm = 0.4
    needed = ConcentratedBudget(**privacy).multiplier * clip_norm / 2.0 ** max(octaves)
    return read(
        privacy={**privacy, "noise_by": "devices"},
        secure={"bits": 16, "examples": 1, "octaves": octaves, "fewest": 3, "devices": {}}
        | {"noise": values.pop("share", 1.0) * needed},
        training={"clip_norm": values.pop("clip_norm", clip_norm)},
        **values,
    )


BUDGETS = [(8.0, 1e-5, 6), (0.5, 1e-6, 40), (1000.0, 1e-5, 1), (1000.0, 0.1, 1), (3.0, 1e-3, 1)]


@pytest.mark.parametrize(("epsilon", "delta", "rounds"), BUDGETS)
def test_noise_that_is_a_third_too_little_for_its_budget_is_not_believed(
    epsilon: float, delta: float, rounds: int
) -> None:
    privacy = {"epsilon": epsilon, "delta": delta, "rounds": rounds}
    private(privacy, [-1, -1]).check("chorus")
    with pytest.raises(ProtocolError, match="is too little for epsilon") as caught:
        private(privacy, [-1, -1], share=0.66).check("chorus")
    assert caught.value.problem.endswith(f"for all {rounds} rounds.")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"octaves": [-1, -3]}, "is too little"),
        ({"clip_norm": None}, "is too little"),
        ({"clip_norm": 4.0}, "is too little"),
        ({"share": 1e-300}, "is too little"),
        ({"round": 7}, "round 7 is open, and its privacy budget is for 6"),
        ({"round": 7, "state": "finished"}, ""),
        ({"share": 2.0}, ""),
    ],
)
def test_a_budget_that_the_round_does_not_keep_is_not_believed(
    values: dict[str, Any], said: str
) -> None:
    found = private({"epsilon": 8, "delta": 1e-5, "rounds": 6}, **{"octaves": [-1, -1], **values})
    if not said:
        found.check("chorus")
        return
    with pytest.raises(ProtocolError, match=said):
        found.check("chorus")


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 8.0, 100.0, 600.0])
@pytest.mark.parametrize("mu", [0.05, 1.0, 5.0, 40.0])
def test_what_noise_hides_is_that_of_the_closed_form(epsilon: float, mu: float) -> None:
    from scipy.stats import norm

    above = norm.cdf(mu / 2 - epsilon / mu)
    below = math.exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu))
    assert least_delta(epsilon, mu) == pytest.approx(above - below, rel=2e-3, abs=1e-300)

"""A member of secure rounds that lies or says nothing, a stage after the other: real processes."""

import pytest

from edge_client.simulation.federation import client_name
from tests.end_to_end.federation.clips import simulated_securely
from tests.end_to_end.federation.joining import ByInvitation, JoinedOnce
from tests.end_to_end.federation.test_secure_processes import DEVICES, TASK, joined, once

__all__ = ["once"]

pytestmark = pytest.mark.usefixtures("environment")

LIAR, NAME = 0, client_name(0)
"""The first: its shares are among those that are used."""

EVERYBODY = list(range(DEVICES))
HONEST = EVERYBODY[1:]
TOO_FEW = "Only 1 devices have sent a masked update"
WRONG = "do not give the secret that it has committed to"

ENDS: dict[str, list[int] | str] = {
    "keys that it has not signed": HONEST,
    "a key of no use": HONEST,
    "no keys": HONEST,
    "shares for some": HONEST,
    "no shares": HONEST,
    "shares that do not open": TOO_FEW,
    "an update cut short": HONEST,
    "an update of another round": HONEST,
    "a signature over others": EVERYBODY,
    "no signature": EVERYBODY,
    "both secrets": EVERYBODY,
    "nothing revealed": EVERYBODY,
    "made-up shares": WRONG,
    "another commitment": WRONG,
    "no update": HONEST,
}
"""Of each lie who is in the sum all the same, or why there is none."""


def ended(it: ByInvitation, number: int) -> list[int] | str:
    """Wait until a round is over; give who is in its sum, or why there is none."""
    it.wait(lambda: it.reached(number, "done") or it.reached(number, "abandoned"), f"{number}")
    if it.reached(number, "done"):
        return [int(name[-5:]) for name in it.clients(number)]
    assert not it.clients(number)
    return str(it.round(number).note)


def as_expected(found: list[int] | str, end: list[int] | str) -> bool:
    """Say whether a round has ended as it should; on a busy machine an honest one may be late."""
    if isinstance(found, str):
        assert found.startswith("Only ") or (isinstance(end, str) and end in found)
        return isinstance(end, str) and end in found
    assert not isinstance(end, str)
    assert set(found) <= set(end)
    return found == end


def test_one_that_lies_is_left_out_or_the_round_is_abandoned_with_a_reason(
    once: JoinedOnce,
) -> None:
    with joined(once, 5, rounds=len(ENDS)) as it:
        for number in HONEST:
            it.run(number, it.port)
        liar = it.run(LIAR, it.port, lies=",".join(ENDS))
        found = [ended(it, number) for number in range(1, len(ENDS) + 1)]
        right = [*map(as_expected, found, ENDS.values())]
        assert sum(right) > len(ENDS) / 2, found
        sums = [() if isinstance(each, str) else each for each in found]
        assert it.weights().tobytes() == simulated_securely(it.clips.whole, TASK, sums).tobytes()
        assert it.aggregator
        for said in (
            f"The keys of {NAME} for this secure round are not signed",
            f"A key of {NAME} is of no use",
            f"{NAME} has not sent shares for each other device",
            f"{NAME} has signed other survivors",
            f"{NAME} has not revealed a share of one secret of each device",
            "This masked update is of another secure round",
        ):
            assert it.aggregator.said(said) <= 1, "it is waited for no more"
            assert it.aggregator.said(said) or not all(right)
        for number in HONEST:
            assert it.devices[number].said(f"The shares from {NAME} do not open") or not all(right)
        assert "Traceback" not in it.said
        assert not liar.ended

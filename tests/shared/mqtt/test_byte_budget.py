"""Messages that wait: bounded."""

import pytest

from shared.mqtt.byte_budget import ByteBudget


@pytest.mark.parametrize(("size", "fit"), [(100_000, 10), (0, 2048)])
def test_a_flood_is_cut_off_until_there_is_room_again(size: int, fit: int) -> None:
    waiting, payload = ByteBudget(1 << 20), bytes(size)
    taken = 0
    while waiting.add(payload):
        taken += 1
    assert taken == fit
    waiting.remove(payload)
    assert waiting.add(payload)
    assert not waiting.add(payload)

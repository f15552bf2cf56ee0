"""Messages that wait: bounded."""

from shared.waiting import Waiting


def test_a_flood_is_cut_off_and_leaves_room_for_what_is_not_said_again() -> None:
    waiting = Waiting(1 << 20)
    chunk, word = bytes(100_000), b"offline"
    taken = 0
    while waiting.add(chunk, may_be_lost=True):
        taken += 1
    assert taken == 10
    assert waiting.add(word, may_be_lost=False)
    waiting.remove(chunk)
    assert waiting.add(chunk, may_be_lost=True)


def test_many_small_messages_are_bounded_too() -> None:
    waiting = Waiting(1 << 20)
    count = 0
    while waiting.add(b"", may_be_lost=False):
        count += 1
    assert count < 20_000

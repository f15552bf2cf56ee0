"""What devices say in a secure round that does not count: one sentence, a reason, nothing lost."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.errors import ProtocolError, SecureError, StorageError
from shared.protocol.secure import (
    SHARE_BYTES,
    Consent,
    Keys,
    Revealed,
    SealedShares,
)
from shared.round_settings import MOST_SECURE
from shared.secure import masked_update
from shared.secure.sharing import PRIME
from shared.secure.statements import keys_statement
from shared.secure.terms import Stage
from tests.disk import room_for
from tests.secure_rounds import STAGES, TERMS, Federation, names, plain_sum

FIRST, SECOND, LAST = names(5)[0], names(5)[1], names(5)[-1]

LATER = dataclasses.replace(TERMS, number=2)


def at(stage: Stage, folder: Path) -> Federation:
    federation = Federation(folder, 5)
    federation.run(until=stage)
    return federation


def refused(federation: Federation, message: bytes, reason: str, name: str = FIRST) -> str:
    """Check that a message is refused; and that the round ends as if it had not come."""
    before = (federation.folder / "journal").read_bytes()
    with pytest.raises(SecureError) as error:
        federation.round.take(name, message)
    assert error.value.reason == reason
    assert error.value.exit_code == 21
    assert (federation.folder / "journal").read_bytes() == before
    federation.run()
    assert federation.round.stage is Stage.DONE
    np.testing.assert_array_equal(
        federation.round.sum, plain_sum(TERMS, federation.round.survivors)
    )
    return error.value.problem


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_counts_twice(stage: Stage, tmp_path: Path) -> None:
    federation = at(stage, tmp_path)
    message = federation.answer(FIRST, stage, federation.asked(FIRST))
    federation.round.take(FIRST, message)
    assert FIRST not in federation.round.awaited
    assert "already" in refused(federation, message, "twice")


@pytest.mark.parametrize("stage", STAGES)
def test_who_was_not_invited_has_no_part(stage: Stage, tmp_path: Path) -> None:
    refused(at(stage, tmp_path), b"", "uninvited", "stranger")


@pytest.mark.parametrize("stage", STAGES[1:])
def test_who_came_too_late_at_a_stage_has_no_part_in_the_next(stage: Stage, tmp_path: Path) -> None:
    federation = Federation(tmp_path, 6)
    late = names(6)[-1]
    federation.run({STAGES[STAGES.index(stage) - 1]: [late]}, until=stage)
    refused(federation, b"", "late", late)


@pytest.mark.parametrize("stage", STAGES)
def test_what_belongs_to_another_stage_is_refused(stage: Stage, tmp_path: Path) -> None:
    earlier = at(stage, tmp_path)
    message = earlier.answer(FIRST, stage, earlier.asked(FIRST))
    other = STAGES[(STAGES.index(stage) + 1) % len(STAGES)]
    federation = at(other, tmp_path / "other")
    with pytest.raises((SecureError, ProtocolError)):
        federation.round.take(FIRST, message)
    federation.run()
    assert federation.round.stage is Stage.DONE


@pytest.mark.parametrize("stage", STAGES)
def test_what_belongs_to_another_round_is_refused(stage: Stage, tmp_path: Path) -> None:
    earlier = Federation(tmp_path / "later", 5, LATER)
    earlier.run(until=stage)
    message = earlier.answer(FIRST, stage, earlier.asked(FIRST))
    assert "another secure round" in refused(at(stage, tmp_path), message, "foreign")


def lies(stage: Stage, message: bytes) -> Iterator[tuple[str, bytes]]:
    """Give what a device may say at a stage that cannot be true, with the reason."""
    if stage is Stage.KEYS:
        said = Keys.decode(message)
        for changed in ({"mask": bytes(32)}, {"signature": bytes(64)}):
            keys = said.keys.model_copy(update=changed)
            yield "unsigned", said.model_copy(update={"keys": keys}).encode()
    elif stage is Stage.SHARES:
        shares = SealedShares.decode(message)
        one_less = {name: each for name, each in shares.sealed.items() if name != SECOND}
        stranger = {**one_less, "stranger": bytes(82)}
        for sealed in (one_less, stranger, {**shares.sealed, FIRST: bytes(82)}):
            yield "damaged", shares.model_copy(update={"sealed": sealed}).encode()
    elif stage is Stage.MASKED:
        yield "damaged", message[:-1]
        yield "damaged", message + b"\0"
        yield "damaged", message[:-1] + b"\xff"
        yield "foreign", message[1:]
    elif stage is Stage.CONSENT:
        consent = Consent.decode(message)
        yield "contradiction", consent.model_copy(update={"signature": bytes(64)}).encode()
    else:
        revealed = Revealed.decode(message)
        share = revealed.seeds[SECOND]
        yield "damaged", revealed.model_copy(update={"seeds": {SECOND: share}}).encode()
        yield "damaged", revealed.model_copy(update={"keys": {SECOND: share}}).encode()
        beyond = {**revealed.seeds, SECOND: PRIME.to_bytes(SHARE_BYTES)}
        yield "damaged", revealed.model_copy(update={"seeds": beyond}).encode()


@pytest.mark.parametrize("stage", STAGES)
def test_what_cannot_be_true_is_refused(stage: Stage, tmp_path: Path) -> None:
    federation = at(stage, tmp_path)
    message = federation.answer(FIRST, stage, federation.asked(FIRST))
    for reason, lie in lies(stage, message):
        with pytest.raises(SecureError) as error:
            federation.round.take(FIRST, lie)
        assert error.value.reason == reason
    federation.round.take(FIRST, message)
    federation.run()
    assert federation.round.stage is Stage.DONE


@pytest.mark.parametrize("change", ["zero", "same", "another's"])
def test_keys_that_are_of_no_use_are_refused(change: str, tmp_path: Path) -> None:
    federation = Federation(tmp_path, 5)
    client = federation.clients[FIRST]
    federation.round.take(SECOND, federation.clients[SECOND].keys())
    taken = federation.clients[SECOND]._keys.mask
    mask = {"zero": bytes(32), "same": client._keys.seal, "another's": taken}[change]
    keys = client._keys.model_copy(update={"mask": mask})
    signature = client._me.key.sign(keys_statement(TERMS.identity, FIRST, keys))
    keys = keys.model_copy(update={"signature": signature})
    refused(federation, Keys(secure_round=TERMS.identity, keys=keys).encode(), "damaged")


def test_a_round_takes_so_many_devices_and_no_more(tmp_path: Path) -> None:
    federation = Federation(tmp_path, MOST_SECURE + 1)
    for name in names(MOST_SECURE):
        federation.round.take(name, federation.clients[name].keys())
    more = names(MOST_SECURE + 1)[-1]
    with pytest.raises(SecureError, match="100 devices") as error:
        federation.round.take(more, federation.clients[more].keys())
    assert error.value.reason == "full"


@pytest.mark.parametrize(
    ("stage", "there", "fewest"),
    [
        *((stage, 4, 3) for stage in STAGES[1:]),
        *((stage, 5, 6) for stage in STAGES[:3]),
        (Stage.KEYS, 2, 3),
        (Stage.KEYS, 0, 3),
    ],
)
def test_too_few_devices_end_the_round_with_a_reason_and_nothing_unmasked(
    stage: Stage, there: int, fewest: int, tmp_path: Path
) -> None:
    federation = Federation(tmp_path, 9, dataclasses.replace(TERMS, fewest=fewest))
    federation.run({stage: names(9)[there:]})
    round_ = federation.round
    assert round_.stage is Stage.ABANDONED
    assert round_.abandoned is not None
    assert round_.abandoned.reason == "too-few"
    needed = fewest if stage is Stage.KEYS else max(5, fewest)
    assert round_.abandoned.problem.startswith(f"Only {there} devices have ")
    assert f"{needed} are needed" in round_.abandoned.problem
    assert not round_.awaited
    calls: list[Callable[[], object]] = [
        round_.close,
        lambda: round_.ask(FIRST),
        lambda: round_.take(FIRST, b""),
    ]
    for call in calls:
        with pytest.raises(SecureError, match="over"):
            call()
    with pytest.raises(RuntimeError, match="no sum"):
        _ = round_.sum
    again = federation.begun()
    assert again.abandoned is not None
    assert again.abandoned.problem == round_.abandoned.problem, "a restart knows why"


def test_a_masked_update_of_one_bit_changed_is_another(tmp_path: Path) -> None:
    """The aggregator cannot know: it sums what the device's signed message names."""
    federation = at(Stage.MASKED, tmp_path)
    values = masked_update.decoded(
        TERMS, federation.answer(FIRST, Stage.MASKED, federation.asked(FIRST))
    )
    values[0] ^= 1
    federation.round.take(FIRST, masked_update.encoded(TERMS, values))
    federation.run({Stage.MASKED: []})
    difference = federation.round.sum - plain_sum(TERMS, names(5))
    assert int(difference[0]) % 2**TERMS.bits in (1, 2**TERMS.bits - 1)


def test_with_a_full_disk_nothing_is_taken_and_it_may_come_again(tmp_path: Path) -> None:
    federation = at(Stage.SHARES, tmp_path)
    message = federation.answer(FIRST, Stage.SHARES, federation.asked(FIRST))
    with room_for((tmp_path / "journal").stat().st_size + 10):
        calls: list[Callable[[], None]] = [
            lambda: federation.round.take(FIRST, message),
            federation.round.close,
        ]
        for call in calls:
            with pytest.raises(StorageError, match="full"):
                call()
    assert FIRST in federation.round.awaited
    federation.round.take(FIRST, message)
    federation.run()
    np.testing.assert_array_equal(federation.begun().sum, plain_sum(TERMS, names(5)))

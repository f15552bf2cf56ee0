"""What an aggregator may say that is not true, and what devices make of it."""

import dataclasses
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from edge_client.secure.client import SecureClient
from shared.errors import ProtocolError, SecureError
from shared.protocol.secure import (
    Consent,
    Consents,
    DeviceKeys,
    Revealed,
    Roster,
    SealedShares,
    Survivors,
)
from shared.secure.terms import Stage, Terms, threshold_of
from shared.trust.exchange import public_half
from tests.secure_rounds import TERMS, Federation, names, update_of

FIRST, SECOND, LAST = names(5)[0], names(5)[1], names(5)[-1]


def at(stage: Stage, folder: Path, gone: tuple[str, ...] = ()) -> Federation:
    """Take five devices up to a stage; some send no masked update."""
    federation = Federation(folder, 5)
    federation.run({Stage.MASKED: gone}, until=stage)
    return federation


def refused(client: SecureClient, call: Callable[[], object], reason: str) -> str:
    """Check that a device refuses, has ended its part and dropped its secrets."""
    with pytest.raises(SecureError) as error:
        call()
    assert error.value.reason == reason
    assert error.value.exit_code == 21
    assert client.stage is Stage.ABANDONED
    assert client._secrets.mask == client._secrets.seed == client._secrets.seal == b""
    assert not client._shares
    return error.value.problem


# Terms and roster


@pytest.mark.parametrize(("fewest", "at_least"), [(3, 3), (10, 31)])
def test_a_device_joins_no_sum_of_fewer_than_it_wants(
    fewest: int, at_least: int, tmp_path: Path
) -> None:
    terms = dataclasses.replace(TERMS, fewest=fewest)
    with pytest.raises(SecureError, match=f"{fewest} devices.*{at_least} others") as error:
        Federation(tmp_path, 3, terms, at_least=at_least)
    assert error.value.reason == "too-few"
    Federation(tmp_path, 3, terms, at_least=fewest - 1)


def rosters(roster: Roster, federation: Federation) -> Iterator[tuple[str, Roster, str]]:
    """Give rosters that are not true, with the reason and a word of the sentence."""
    devices = dict(roster.devices)

    def made(**changed: DeviceKeys) -> Roster:
        return roster.model_copy(update={"devices": {**devices, **_named(changed)}})

    theirs = devices[SECOND]
    other = theirs.model_copy(update={"mask": public_half(bytes(32))})
    yield "unsigned", made(device_01=other), "not signed by device-01"
    yield "unsigned", made(device_01=devices[LAST]), "not signed by device-01"
    yield "contradiction", made(stranger=theirs), "does not know stranger"
    yield "contradiction", made(device_00=theirs), "other keys of this device"
    mine_left_out = {name: keys for name, keys in devices.items() if name != FIRST}
    yield (
        "contradiction",
        roster.model_copy(update={"devices": mine_left_out}),
        "other keys of this device",
    )
    two = {name: devices[name] for name in (FIRST, SECOND)}
    yield "too-few", roster.model_copy(update={"devices": two}), "2 devices"
    later = dataclasses.replace(federation.terms, number=2).identity
    yield "foreign", roster.model_copy(update={"secure_round": later}), "another secure round"


def _named(changed: dict[str, DeviceKeys]) -> dict[str, DeviceKeys]:
    return {name.replace("_", "-"): keys for name, keys in changed.items()}


@pytest.mark.parametrize("which", range(7))
def test_a_roster_that_is_not_true_is_refused(which: int, tmp_path: Path) -> None:
    federation = at(Stage.SHARES, tmp_path)
    roster = Roster.decode(federation.asked(FIRST))
    reason, lie, word = list(rosters(roster, federation))[which]
    client = federation.clients[FIRST]
    assert word in refused(client, lambda: client.shares(lie.encode()), reason)


def test_a_device_that_uses_one_key_twice_is_not_joined(tmp_path: Path) -> None:
    federation = at(Stage.SHARES, tmp_path)
    roster = Roster.decode(federation.asked(FIRST))
    cheat = federation.clients[SECOND]
    cheat._secrets = dataclasses.replace(cheat._secrets, mask=cheat._secrets.seal)
    devices = {**roster.devices, SECOND: cheat._signed_keys()}
    lie = roster.model_copy(update={"devices": devices}).encode()
    client = federation.clients[FIRST]
    assert "are the same" in refused(client, lambda: client.shares(lie), "contradiction")


def test_keys_of_an_earlier_round_are_not_those_of_this_one(tmp_path: Path) -> None:
    earlier = at(Stage.SHARES, tmp_path / "1")
    old = Roster.decode(earlier.asked(FIRST)).devices[SECOND]
    federation = Federation(tmp_path / "2", 5, dataclasses.replace(TERMS, number=2))
    federation.run(until=Stage.SHARES)
    roster = Roster.decode(federation.asked(FIRST))
    lie = roster.model_copy(update={"devices": {**roster.devices, SECOND: old}})
    client = federation.clients[FIRST]
    refused(client, lambda: client.shares(lie.encode()), "unsigned")


# Shares


def _changed(shares: SealedShares, federation: Federation) -> Iterator[tuple[str, SealedShares]]:
    sealed = shares.sealed
    broken = sealed[SECOND][:-1] + bytes([sealed[SECOND][-1] ^ 1])
    yield "unsealed", shares.model_copy(update={"sealed": {**sealed, SECOND: broken}})
    swapped = {**sealed, SECOND: sealed[LAST], LAST: sealed[SECOND]}
    yield "unsealed", shares.model_copy(update={"sealed": swapped})
    anothers = SealedShares.decode(federation.asked(LAST)).sealed[SECOND]
    yield "unsealed", shares.model_copy(update={"sealed": {**sealed, SECOND: anothers}})
    one = {SECOND: sealed[SECOND]}
    yield "too-few", shares.model_copy(update={"sealed": one})
    stranger = {**sealed, "stranger": sealed[SECOND]}
    yield "contradiction", shares.model_copy(update={"sealed": stranger})
    own = {**sealed, FIRST: sealed[SECOND]}
    yield "contradiction", shares.model_copy(update={"sealed": own})
    later = dataclasses.replace(federation.terms, number=2).identity
    yield "foreign", shares.model_copy(update={"secure_round": later})


@pytest.mark.parametrize("which", range(7))
def test_shares_that_are_not_the_senders_end_a_devices_part(which: int, tmp_path: Path) -> None:
    federation = at(Stage.MASKED, tmp_path)
    shares = SealedShares.decode(federation.asked(FIRST))
    reason, lie = list(_changed(shares, federation))[which]
    client = federation.clients[FIRST]
    update = update_of(TERMS, FIRST)
    problem = refused(client, lambda: client.masked(lie.encode(), update), reason)
    assert reason != "unsealed" or "device-01" in problem


def test_shares_of_another_round_do_not_open(tmp_path: Path) -> None:
    """The same secrets are drawn in both: the round alone is another."""
    earlier = at(Stage.MASKED, tmp_path / "1")
    federation = Federation(tmp_path / "2", 5, dataclasses.replace(TERMS, number=2))
    federation.run(until=Stage.MASKED)
    old = SealedShares.decode(earlier.asked(FIRST)).sealed[SECOND]
    shares = SealedShares.decode(federation.asked(FIRST))
    lie = shares.model_copy(update={"sealed": {**shares.sealed, SECOND: old}})
    client = federation.clients[FIRST]
    update = update_of(TERMS, FIRST)
    refused(client, lambda: client.masked(lie.encode(), update), "unsealed")


# Survivors


def survivor_lists(told: Survivors) -> Iterator[tuple[str, Survivors]]:
    """Give lists of survivors that are not true, with the reason."""

    def made(sharers: list[str], survivors: list[str]) -> Survivors:
        return told.model_copy(update={"sharers": sharers, "survivors": survivors})

    everybody = told.sharers
    yield "contradiction", made(everybody[:4], everybody[:4])
    yield "contradiction", made([*everybody, "stranger"], everybody)
    yield "contradiction", made(everybody, [*everybody, "stranger"])
    yield "contradiction", made(everybody, [FIRST, FIRST, SECOND, LAST])
    yield "contradiction", made(everybody, everybody[::-1])
    yield "too-few", made(everybody, everybody[:2])
    yield "late", made(everybody, everybody[1:])


@pytest.mark.parametrize("which", range(7))
def test_survivors_that_cannot_be_true_are_not_signed(which: int, tmp_path: Path) -> None:
    federation = at(Stage.CONSENT, tmp_path)
    told = Survivors.decode(federation.asked(FIRST))
    reason, lie = list(survivor_lists(told))[which]
    client = federation.clients[FIRST]
    refused(client, lambda: client.consent(lie.encode()), reason)


@pytest.mark.parametrize("told_all", range(6))
def test_an_aggregator_that_tells_two_lists_of_survivors_is_caught(
    told_all: int, tmp_path: Path
) -> None:
    """It asks some devices for the last one's seed, the others for its key: with both shares it
    could read the last one's update."""
    federation = at(Stage.CONSENT, tmp_path)
    everybody = names(5)
    lists = {
        name: everybody if place < told_all else [each for each in everybody if each != LAST]
        for place, name in enumerate(everybody)
    }
    told = Survivors.decode(federation.asked(FIRST))
    signed = {}
    for name, survivors in lists.items():
        if name in survivors:
            lie = told.model_copy(update={"survivors": survivors}).encode()
            signed[name] = Consent.decode(federation.clients[name].consent(lie)).signature
    seeds, keys = _revealed_of_last(federation, signed)
    threshold = threshold_of(5)
    assert not (seeds >= threshold and keys >= threshold)
    assert min(seeds, keys) == 0, "only one list can have signatures enough"


def _revealed_of_last(federation: Federation, signed: dict[str, bytes]) -> tuple[int, int]:
    """Let the aggregator try each selection of signatures with each device; count the shares."""
    seeds: set[str] = set()
    keys: set[str] = set()
    template = Consents(secure_round=TERMS.identity, signatures={})
    for count in range(len(signed) + 1):
        for chosen in combinations(sorted(signed), count):
            signatures = {name: signed[name] for name in chosen}
            message = template.model_copy(update={"signatures": signatures}).encode()
            for name in signed:
                seen = _tried(federation, name, message)
                if seen:
                    seeds |= {name} if LAST in seen.seeds else set()
                    keys |= {name} if LAST in seen.keys else set()
    return len(seeds), len(keys)


def _tried(federation: Federation, name: str, message: bytes) -> Revealed | None:
    """Ask a device as it is; go back, so that the next try finds it the same."""
    client = federation.clients[name]
    stage, shares = client.stage, dict(client._shares)
    try:
        return Revealed.decode(client.reveal(message))
    except SecureError:
        return None
    finally:
        client.stage, client._shares = stage, shares


def test_one_who_was_told_otherwise_is_named(tmp_path: Path) -> None:
    federation = at(Stage.CONSENT, tmp_path)
    told = Survivors.decode(federation.asked(FIRST))
    other = told.model_copy(update={"survivors": told.survivors[:-1]})
    signed = {
        name: Consent.decode(federation.clients[name].consent(text.encode())).signature
        for name, text in [(FIRST, told), (SECOND, other), (LAST, told)]
    }
    message = Consents(secure_round=TERMS.identity, signatures=signed).encode()
    client = federation.clients[FIRST]
    problem = refused(client, lambda: client.reveal(message), "contradiction")
    assert problem == (
        "device-01 was told of other survivors in this secure round than this device."
    )


def test_two_rosters_are_caught_with_the_survivors(tmp_path: Path) -> None:
    """The names are the same; one device's keys are not, as of a device that began twice."""
    federation = Federation(tmp_path, 5)
    federation.run(until=Stage.CONSENT)
    client = federation.clients[SECOND]
    other = client._keys.model_copy(update={"commitment": bytes(32)})
    devices = {**client._roster.devices, LAST: other}
    client._roster = client._roster.model_copy(update={"devices": devices})
    with pytest.raises(SecureError, match="signed other survivors"):
        federation.stage()


def test_too_few_signatures_reveal_nothing(tmp_path: Path) -> None:
    federation = at(Stage.UNMASKING, tmp_path)
    consents = Consents.decode(federation.asked(FIRST))
    two = {name: consents.signatures[name] for name in (FIRST, SECOND)}
    client = federation.clients[FIRST]
    message = consents.model_copy(update={"signatures": two}).encode()
    assert "Only 2 devices" in refused(client, lambda: client.reveal(message), "too-few")


def test_a_signature_of_nobody_in_the_sum_does_not_count(tmp_path: Path) -> None:
    federation = at(Stage.UNMASKING, tmp_path, gone=(LAST,))
    consents = Consents.decode(federation.asked(FIRST))
    more = {**consents.signatures, LAST: consents.signatures[FIRST]}
    client = federation.clients[FIRST]
    message = consents.model_copy(update={"signatures": more}).encode()
    refused(client, lambda: client.reveal(message), "contradiction")


def test_a_device_reveals_one_secret_of_each_and_once(tmp_path: Path) -> None:
    federation = at(Stage.UNMASKING, tmp_path, gone=(LAST,))
    client, asked = federation.clients[FIRST], federation.asked(FIRST)
    revealed = Revealed.decode(client.reveal(asked))
    assert set(revealed.seeds) == set(names(4))
    assert set(revealed.keys) == {LAST}
    assert client.stage is Stage.DONE
    assert not client._shares
    with pytest.raises(SecureError, match="not asked") as again:
        client.reveal(asked)
    assert again.value.reason == "out-of-turn"


# Order and form


@pytest.mark.parametrize("stage", [Stage.SHARES, Stage.MASKED, Stage.CONSENT, Stage.UNMASKING])
def test_a_call_out_of_turn_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    federation = at(stage, tmp_path)
    client, asked = federation.clients[FIRST], federation.asked(FIRST)
    zeros = np.zeros(TERMS.length, np.uint32)
    calls: dict[Stage, Callable[[], bytes]] = {
        Stage.KEYS: client.keys,
        Stage.SHARES: lambda: client.shares(asked),
        Stage.MASKED: lambda: client.masked(asked, zeros),
        Stage.CONSENT: lambda: client.consent(asked),
        Stage.UNMASKING: lambda: client.reveal(asked),
    }
    for other in calls.keys() - {stage}:
        with pytest.raises(SecureError, match="not asked") as error:
            calls[other]()
        assert error.value.reason == "out-of-turn"
    federation.run()
    assert federation.round.stage is Stage.DONE


@pytest.mark.parametrize("message", [b"", b"{}", b'{"protocol":"1.2"}', b'{"protocol":"2.0"}'])
def test_what_is_no_roster_ends_a_devices_part(message: bytes, tmp_path: Path) -> None:
    client = at(Stage.SHARES, tmp_path).clients[FIRST]
    with pytest.raises(ProtocolError):
        client.shares(message)
    assert client.stage is Stage.ABANDONED


def test_an_update_that_is_no_vector_of_the_ring_is_not_masked(tmp_path: Path) -> None:
    federation = at(Stage.MASKED, tmp_path)
    client, asked = federation.clients[FIRST], federation.asked(FIRST)
    for wrong in (
        np.zeros(4, np.uint32),
        np.zeros(TERMS.length, np.int64),
        np.full(TERMS.length, 1 << TERMS.bits, np.uint32),
    ):
        with pytest.raises(ValueError, match=r"uint32|bits"):
            client.masked(asked, wrong)  # type: ignore[arg-type] # wrong on purpose
    federation.run()
    assert federation.round.stage is Stage.DONE


@pytest.mark.parametrize("wrong", [{"length": 0}, {"bits": 7}, {"bits": 33}, {"fewest": 2}])
def test_there_are_no_such_terms(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"secure sum|update"):
        Terms(**{**dataclasses.asdict(TERMS), **wrong})

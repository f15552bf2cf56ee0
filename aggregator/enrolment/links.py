"""The commands' side of invitations: beside a running ``aggregator serve``, or without one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aggregator.enrolment.invitations import invite, revoke
from aggregator.enrolment.key_file import KeyFile
from aggregator.enrolment.members import Members
from aggregator.ledger.folder import FederationFolder
from shared.errors import BrokerError, SettingsError, TrustError
from shared.mqtt.addresses import split_address
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.topics import Topics
from shared.trust.link import Link, can_lead_to

_PATIENCE: Final = 5.0
"""Seconds that the broker's plugin is given to be told of an account; a second is usual."""

_PAUSE: Final = 0.1


def link_for(
    folder: FederationFolder, name: str, *, hours: float, again: bool, address: str | None
) -> tuple[Link, float]:
    """Invite a device; give the link to hand over, and until when it is good.

    Parameters
    ----------
    folder
        Of the federation.
    name, hours, again
        As :func:`.invitations.invite` has them.
    address
        Where the device reaches the broker, HOST or HOST:PORT; as far as it is known, if not given.

    Returns
    -------
    Link, float
        The link, and when it expires, in seconds since 1970.

    Raises
    ------
    SettingsError
        If there can be no such device, or it has joined already.
    TrustError
        If the federation is not by invitation.
    BrokerError
        If the broker takes no accounts, or does not show its certificate.
    """
    with members_in(folder) as members:
        facts = facts_of(members, folder)
        if facts["accounts"] == "plugin" and facts.get("plugin") != "yes":
            raise BrokerError(
                "The broker does not let the aggregator make accounts: it has no dynamic-security "
                "plugin, or the aggregator is not its administrator, or has not reached it.",
                "Load the plugin as docs/deploy.md has it, and look whether `aggregator serve "
                "--by-invitation` runs; or use --embedded-broker.",
            )
        broker = BrokerSettings.model_validate_json(facts["broker"])
        host, port = _place(address or facts["host"], broker.address[1])
        fingerprint = broker.fingerprint
        if broker.ca_file:
            fingerprint = broker.shown_fingerprint()
        signs = KeyFile.read(folder.key)
        made = invite(members, Topics(facts["federation"]), name, hours=hours, again=again)
        link = Link(
            host=host,
            port=port,
            federation=facts["federation"],
            name=name,
            aggregator=signs.root.key if signs.root else signs.key.public,
            code=made.code,
            tls=broker.tls,
            fingerprint=bytes.fromhex(fingerprint) if fingerprint else None,
            issued=signs.issued.number if signs.issued else None,
        )
        return link, made.expires


def _place(address: str, port: int) -> tuple[str, int]:
    """Read where devices reach the broker; ``port`` is taken where none is given."""
    try:
        host, port = split_address(address, port)
    except ValueError as error:
        raise SettingsError(f"There can be no broker there: {error}.") from error
    if port == 0:
        raise SettingsError(
            f"There can be no broker there: {address} has no port.",
            "Give --address HOST or HOST:PORT.",
        )
    if not can_lead_to(host):
        raise SettingsError(
            f"There can be no broker there: {host} is no name of a host, and no address.",
            "Give --address HOST or HOST:PORT.",
        )
    return host, port


def is_told(
    folder: FederationFolder, name: str, *, sleep: Callable[[float], object] = time.sleep
) -> bool:
    """Wait, bounded, until the broker lets an invited device in; say whether it does.

    Parameters
    ----------
    folder, name
        Of the federation, and of the device.
    sleep
        Waits so many seconds.
    """

    def told(members: Members, topics: Topics) -> bool:
        known = {user: digest == told for user, _, _, digest, told in members.accounts()}
        return known.get(topics.guest(name), False)

    return _at_the_broker(folder, told, sleep)


def is_out(
    folder: FederationFolder, name: str, *, sleep: Callable[[float], object] = time.sleep
) -> bool:
    """Wait, bounded, until the broker lets a device in no more that was shut out; say whether so.

    Parameters
    ----------
    folder, name
        Of the federation, and of the device.
    sleep
        Waits so many seconds.
    """
    return _at_the_broker(folder, lambda members, _: name not in members.revoked().values(), sleep)


def _at_the_broker(
    folder: FederationFolder,
    done: Callable[[Members, Topics], bool],
    sleep: Callable[[float], object],
) -> bool:
    """Wait, bounded, until the broker has learned something; the embedded one reads the list."""
    with members_in(folder) as members:
        facts = facts_of(members, folder)
        for _ in range(int(_PATIENCE / _PAUSE)):
            if facts["accounts"] == "embedded" or done(members, Topics(facts["federation"])):
                return True
            sleep(_PAUSE)
    return False


def shut_out(folder: FederationFolder, name: str) -> None:
    """Shut a device out; raises :class:`SettingsError` if nobody of that name was invited."""
    with members_in(folder) as members:
        if not revoke(members, name):
            raise SettingsError(
                f"Nobody called {name} was invited to this federation.",
                "`aggregator devices` lists who has joined.",
            )


@contextmanager
def members_in(folder: FederationFolder) -> Iterator[Members]:
    """Open the members of a federation.

    Raises
    ------
    TrustError
        If it is not by invitation.
    """
    if not folder.members.exists():
        raise _not_by_invitation(folder)
    with Members(folder.members) as members:
        yield members


def facts_of(members: Members, folder: FederationFolder) -> dict[str, str]:
    """Give what `aggregator serve` has written down for the other commands.

    Raises
    ------
    TrustError
        If it has not: whoever began to serve the federation by invitation ended at once.
    """
    facts = members.facts()
    if not facts:
        raise _not_by_invitation(folder)
    return facts


def _not_by_invitation(folder: FederationFolder) -> TrustError:
    return TrustError(
        f"There is no federation by invitation in {folder.path}.",
        "Start `aggregator serve --by-invitation` once, or give its folder as --state.",
    )

"""What ``aggregator serve`` makes ready for a federation by invitation."""

import secrets
from typing import Any, NamedTuple

from aggregator.broker.accounts import AccountsAt
from aggregator.broker.certificate import kept_certificate
from aggregator.enrolment.members import Members
from aggregator.ledger.folder import FederationFolder
from aggregator.server.settings import ServeSettings
from shared.errors import BrokerError
from shared.mqtt.addresses import is_everywhere, is_loopback, outward_address, reached_from_here
from shared.mqtt.broker_settings import PLAIN_PORT, TLS_PORT, BrokerSettings
from shared.protocol.rights import username_of
from shared.protocol.topics import Topics, aggregator_name
from shared.storage.files import replacing


class ByInvitation(NamedTuple):
    """What is ready.

    Attributes
    ----------
    members
        Who was invited and who has joined; to be closed.
    broker
        How the aggregator reaches the broker.
    accounts
        What the embedded broker needs; ``None`` for another broker.
    """

    members: Members
    broker: BrokerSettings
    accounts: AccountsAt | None


def prepare(settings: ServeSettings, folder: FederationFolder) -> ByInvitation:
    """Open the list of members, and write down what `aggregator invite` needs to know.

    Raises
    ------
    BrokerError
        If the authority's certificate cannot be read.
    TrustError
        If the list of members or the broker's certificate is damaged.
    StorageError
        If the disk is full.
    """
    members = Members(folder.members)
    try:
        broker, accounts = settings.broker, None
        if settings.embedded_broker:
            accounts = AccountsAt(folder.members, settings.federation, folder.certificate)
            broker = _own_broker(settings, folder, members)
        members.note(
            federation=settings.federation,
            accounts="embedded" if accounts else "plugin",
            broker=broker.model_dump_json(exclude={"password_file", "username"}),
            host=_host_for_devices(settings),
            authority=_authority(broker),
        )
    except BaseException:
        members.close()
        raise
    return ByInvitation(members, broker, accounts)


def _own_broker(
    settings: ServeSettings, folder: FederationFolder, members: Members
) -> BrokerSettings:
    """Give the aggregator an account of its own at the embedded broker, anew at each start."""
    topics, password = Topics(settings.federation), secrets.token_urlsafe(24)
    name = aggregator_name(settings.federation)
    members.put_account(username_of("aggregator", name, topics), "aggregator", name, password)
    with replacing(folder.password, 0o600) as aside:
        aside.write_text(password)
    known = {
        "tls": True,
        "fingerprint": kept_certificate(folder.certificate),
        "password_file": folder.password,
    }
    return broker_of(settings).model_copy(update=known)


def _host_for_devices(settings: ServeSettings) -> str:
    """Say where devices reach the broker, as far as can be known here."""
    own = settings.embedded_broker
    host = settings.listen if own else settings.broker.host
    nowhere = is_everywhere(host) or (is_loopback(host) and not own)
    return outward_address() if nowhere else host


def _authority(broker: BrokerSettings) -> str:
    """Read the certificate of the authority that devices shall go by; empty if there is none."""
    if broker.ca_file is None:
        return ""
    try:
        return broker.ca_file.read_text("ascii")
    except (OSError, ValueError) as error:
        raise BrokerError(
            f"The authority's certificate {broker.ca_file} cannot be read.", "Look at --ca-file."
        ) from error


def broker_of(settings: ServeSettings) -> BrokerSettings:
    """Say where the aggregator reaches its broker: an embedded one by where that listens."""
    if not settings.embedded_broker:
        return settings.broker
    known: dict[str, Any] = {"port": port_of(settings)}
    if not is_named(settings.broker):
        known["host"] = reached_from_here(settings.listen)
    return settings.broker.model_copy(update=known)


def is_named(broker: BrokerSettings) -> bool:
    """Say whether somebody has said where the broker is."""
    return "host" in broker.model_fields_set


def port_of(settings: ServeSettings) -> int:
    """Give the port that the embedded broker listens on."""
    return settings.broker.port or (TLS_PORT if settings.by_invitation else PLAIN_PORT)

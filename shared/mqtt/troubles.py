"""What can be wrong between a client and its broker, as sentences with a remedy."""

import socket
import ssl
from dataclasses import dataclass
from typing import Final

from paho.mqtt.reasoncodes import ReasonCode

from shared.errors import BrokerError
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.pinned import WrongCertificateError

_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's ``X509_V_ERR_CERT_NOT_YET_VALID`` and ``X509_V_ERR_CERT_HAS_EXPIRED``."""

_BAD_PASSWORD, _NOT_AUTHORISED, _BAD_IDENTIFIER, _BAD_PROTOCOL = 134, 135, 133, 132
"""MQTT 5's reason codes, into which paho translates the return codes of 3.1.1."""

_TAKEN_OVER, _TOO_LARGE, _QUOTA, _ENDED_BY_HAND, _KEEPS_NOTHING = 142, 149, 151, 152, 154
"""Reason codes that only MQTT 5 has."""

GIVE_OTHERS: Final = "Give a name and a password that it knows with --username and --password-file."
"""What to do where a user and a password were given."""

_SMALLER: Final = "Give the aggregator a smaller --chunk, or the broker a larger limit."

_SURELY_TAKEN: Final = 4 << 10
"""Bytes of a message that no broker's limit lies below."""

_SPEAKS_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF")


class NoWebsocketError(ConnectionError):
    """The server does not speak MQTT over websockets there."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a connection ended or did not come about.

    Attributes
    ----------
    error
        What is wrong and what to do.
    lasting
        Whether it stays so until somebody changes a setting, here or at the broker.
    unspoken
        Whether the reason may be that the broker does not speak this version of MQTT.
    """

    error: BrokerError
    lasting: bool = False
    unspoken: bool = False


def unreachable(settings: BrokerSettings, error: OSError | ValueError) -> Trouble:
    """Explain why no connection was made."""
    place = _place(settings)
    match error:
        case ssl.SSLError():
            return _no_tls(place, error)
        case NoWebsocketError():
            return _trouble(
                f"{place} does not speak MQTT over websockets.",
                "Look at --port and --path, and whether --transport should be tcp.",
            )
        case ConnectionRefusedError():
            return _trouble(
                f"No broker listens at {place}.",
                "Start it (`aggregator serve --embedded-broker` brings its own), or name another "
                "with --broker and --port.",
            )
        case socket.gaierror() | UnicodeError():
            return _trouble(
                f"The broker's name {settings.host} is not known here.",
                "Look at --broker and at the network.",
            )
        case TimeoutError():
            return _trouble(
                f"The broker {place} does not answer.", "Look at the network and its firewalls."
            )
    reason = getattr(error, "strerror", None) or str(error)
    return _trouble(f"The broker {place} cannot be reached: {reason}.")


def _no_tls(place: str, error: ssl.SSLError) -> Trouble:
    if isinstance(error, WrongCertificateError):
        return _trouble(
            f"The certificate of {place} is not the one that the broker is known by.",
            "Somebody may be in its place. If the broker has a new one, ask for another link "
            "(`aggregator invite NAME --again`), or give its --fingerprint.",
            lasting=True,
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = f"The certificate of {place} is not accepted: {error.verify_message.rstrip('.')}."
        if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
            # A Raspberry Pi has no clock of its own: until it is set, the year is wrong.
            return _trouble(problem, "Look at this machine's clock, then renew the certificate.")
        return _trouble(
            problem,
            "Give the authority that signed it with --ca-file, and a name in --broker that the "
            "certificate holds.",
            lasting=True,
        )
    if error.reason in _SPEAKS_NO_TLS:
        return _trouble(
            f"{place} does not speak TLS.",
            "Give the port that does (8883 usually), or --no-tls.",
            lasting=error.reason == "WRONG_VERSION_NUMBER",
        )
    return _trouble(f"TLS with {place} fails: {error.reason or error}.")


def refused(
    settings: BrokerSettings, username: str | None, code: ReasonCode, if_unknown: str
) -> Trouble:
    """Explain why the broker refused the client; ``if_unknown`` it does not know the user."""
    place = _place(settings)
    match code.value:
        case value if value == _KEEPS_NOTHING:
            return keeps_nothing(settings)
        case value if value in (_BAD_PASSWORD, _NOT_AUTHORISED):
            who = f"the user {username} with this password" if username else "anonymous clients"
            return _trouble(
                f"The broker {place} refuses {who}.",
                if_unknown,
                lasting=True,
            )
        case value if value in (_BAD_IDENTIFIER, _BAD_PROTOCOL):
            return _trouble(
                f"The broker {place} refuses the client: {str(code).lower()}.",
                lasting=True,
                unspoken=value == _BAD_PROTOCOL,
            )
    return _trouble(f"The broker {place} takes no clients now: {str(code).lower()}.")


def keeps_nothing(settings: BrokerSettings) -> Trouble:
    """Explain that the broker has no retained messages, which only MQTT 5 tells."""
    return _trouble(
        f"The broker {_place(settings)} keeps no messages for those who come later.",
        "Let it keep retained messages (Mosquitto's retain_available), or use another broker "
        "(docs/brokers.md).",
        lasting=True,
    )


def unsubscribable(settings: BrokerSettings, username: str | None) -> Trouble:
    """Explain that the broker forbids a topic."""
    who = f"the user {username}" if username else "anonymous clients"
    return _trouble(
        f"The broker {_place(settings)} does not allow {who} to read the federation's topics.",
        "Look at the broker's access rules (deploy/mosquitto/acl).",
        lasting=True,
    )


def lost(
    settings: BrokerSettings,
    name: str,
    *,
    was_connected: bool,
    again: bool,
    worked: bool,
    largest: int,
) -> Trouble:
    """Explain that a connection ended.

    Parameters
    ----------
    settings
        Where the broker is.
    name
        The client's.
    was_connected
        Whether it was established.
    again
        Whether it ended as the one before, at once.
    worked
        Whether one has been established before.
    largest
        Bytes of the largest message that was sent over it.
    """
    place = _place(settings)
    if was_connected:
        look = f"; look whether a second client is called {name}" if again else ""
        if again and largest > _SURELY_TAKEN:
            look += f", or the broker takes no messages of {largest} bytes"
        return _trouble(
            f"The connection to the broker {place} was lost.", f"It is made anew{look}."
        )
    hint = "" if settings.tls else "If it speaks TLS there, give --tls."
    if settings.transport == "tcp":
        hint = f"{hint} If it speaks websockets there, give --transport websockets.".strip()
    return _trouble(f"{place} ended the connection without an answer.", hint, unspoken=not worked)


def ended(settings: BrokerSettings, name: str, code: ReasonCode) -> Trouble:
    """Explain why the broker ended an established connection, which only MQTT 5 tells."""
    why, remedy = str(code).lower(), "It is made anew."
    match code.value:
        case value if value == _TAKEN_OVER:
            why = "another client has come in its place"
            remedy = f"It is made anew; look whether a second client is called {name}."
        case value if value == _TOO_LARGE:
            why, remedy = "a message was larger than the broker takes", _SMALLER
        case value if value in (_NOT_AUTHORISED, _ENDED_BY_HAND):
            why = f"the broker has ended it ({why})"
            remedy = f"It is made anew; if this repeats, {name}'s account may have been taken away."
    return _trouble(f"The connection to the broker {_place(settings)} was lost: {why}.", remedy)


def garbled(settings: BrokerSettings) -> Trouble:
    """Explain that the broker says what MQTT 5 does not have.

    Mosquitto 2.0 answers so to a message beyond its ``message_size_limit``.
    """
    return _trouble(
        f"The broker {_place(settings)} answers as MQTT 5 does not allow.",
        "The connection is made anew, with MQTT 3.1.1.",
    )


def unpublishable(settings: BrokerSettings, username: str | None, code: ReasonCode) -> Trouble:
    """Explain why the broker refused a message, which only MQTT 5 tells."""
    place, who = _place(settings), f"the user {username}" if username else "anonymous clients"
    match code.value:
        case value if value == _NOT_AUTHORISED:
            return _trouble(
                f"The broker {place} does not allow {who} to publish there; the message is lost.",
                "Look at the broker's access rules (deploy/mosquitto/acl).",
            )
        case value if value == _QUOTA:
            return _trouble(
                f"The broker {place} has no room for a message; it is lost.",
                "Look at the broker's limits of memory and of messages that wait.",
            )
    return _trouble(f"The broker {place} refuses a message: {str(code).lower()}; it is lost.")


def unacknowledged(settings: BrokerSettings) -> Trouble:
    """Explain that the broker takes messages and never says so."""
    return _trouble(
        f"The broker {_place(settings)} acknowledges no more what it is sent: the connection "
        "begins anew.",
        "If this repeats, look into its log: it drops what it cannot get rid of "
        "(Mosquitto's max_queued_messages).",
    )


def too_much(settings: BrokerSettings) -> Trouble:
    """Explain that the broker sends what would fill the memory."""
    return _trouble(
        f"The broker {_place(settings)} sends more at once than any of ours says.",
        "The connection begins anew; look who else publishes there.",
    )


def left(settings: BrokerSettings) -> Trouble:
    """Explain that this side has ended the connection."""
    return _trouble(f"The connection to the broker {_place(settings)} is made anew.")


def _place(settings: BrokerSettings) -> str:
    host, port = settings.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _trouble(
    problem: str, remedy: str = "", *, lasting: bool = False, unspoken: bool = False
) -> Trouble:
    return Trouble(BrokerError(problem, remedy), lasting, unspoken)

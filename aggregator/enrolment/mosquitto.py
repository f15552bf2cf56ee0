"""Accounts at Mosquitto, made while it runs, by its dynamic-security plugin.

The aggregator is the plugin's administrator. What accounts there should be stands in the list of
members, and whose were revoked. The plugin is told of each that it does not have, or that has
another password since; and to remove the revoked ones, until it has confirmed that. So it does not
matter who was killed when. Accounts that the list has never had are left alone: it may be the wrong
one.
"""

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from aggregator.enrolment.invitations import passwords
from aggregator.enrolment.members import Members, digest_of
from shared.errors import shown
from shared.loop import Action, Loop
from shared.protocol.rights import AccountKind, Rights, rights_of, username_of
from shared.protocol.topics import Topics, aggregator_name

log = logging.getLogger(__name__)

CONTROL: Final = "$CONTROL/dynamic-security/v1"
"""Where the plugin takes commands."""

RESPONSE: Final = f"{CONTROL}/response"
"""Where it answers."""

ANSWER: Final = 10.0
"""Seconds after which there seems to be no plugin."""

_NOT_THERE: Final = "Client not found"
"""What it answers where it is to remove an account that it does not have."""

_NAMED: Final = 10
"""Accounts that a warning names at most."""


class MosquittoAccounts:
    """Sees to it that the plugin has the accounts that there should be.

    Parameters
    ----------
    members, topics
        Of the federation.
    loop
        What it stands on.
    publish
        Sends a message to a topic.
    """

    def __init__(
        self,
        members: Members,
        topics: Topics,
        loop: Loop,
        publish: Callable[[str, bytes], object],
    ) -> None:
        self._members = members
        self._topics = topics
        self._publish = publish
        self._there: set[str] | None = None
        """Users that the plugin has; ``None`` before it has said so."""
        self._asked: dict[str, bytes] = {}
        """Digests of passwords that it was told, and has not confirmed."""
        self._removing: set[str] = set()
        """Users whose accounts it was told to remove, and has not confirmed."""
        self._unknown: list[str] = []
        """Users that it has of this federation, and the list of members never had."""
        self._waiting: dict[str, Action] = {}
        """What is done once the plugin has the account of a user."""
        self._silence = loop.deadline(self._says_nothing)
        name = aggregator_name(topics.federation)
        self._own = username_of("aggregator", name, topics)

    def connected(self) -> None:
        """Ask what is there: the connection is new."""
        self._there, self._asked, self._removing = None, {}, set()
        self._silence.within(ANSWER)
        self._say(
            {"command": "getClient", "username": self._own},
            {"command": "listClients", "verbose": False, "count": -1},
        )

    def look(self) -> None:
        """Tell the plugin what is new, and what is gone."""
        if self._there is None:
            return
        accounts = [one for one in self._members.accounts() if one[1] != "aggregator"]
        stale = [
            (username, kind, name, digest)
            for username, kind, name, digest, told in accounts
            if not (username in self._there and told == digest)
            and self._asked.get(username) != digest
        ]
        # They take a while to compute.
        known = passwords(self._members, self._topics) if stale else {}
        for username, kind, name, digest in stale:
            password = known.get(username, "")
            if digest_of(password.encode()) == digest:
                self._put(username, kind, name, password)
            elif username not in self._there:
                log.warning("%s has lost its account: `aggregator invite %s --again`.", name, name)
        for username in self._members.revoked().keys() - self._removing:
            self._removing.add(username)
            self._there.discard(username)
            self._say(*_removed(username))

    def when_there(self, username: str, then: Action) -> None:
        """Do something once the plugin has an account as it should be; in place of what waited."""
        self._waiting[username] = then
        self.look()
        if username not in self._asked and username in (self._there or ()):
            self._done(username)

    def hear(self, payload: bytes) -> None:
        """Hear what the plugin answers."""
        for response in _responses(payload):
            user = response.get("correlationData")
            match response.get("command"):
                case "getClient":
                    self._heard_own(response)
                case "listClients":
                    self._heard_all(response)
                case "createClient" if isinstance(user, str) and user in self._asked:
                    self._heard_made(user, str(response.get("error", "")))
                case "deleteClient" if isinstance(user, str) and user in self._removing:
                    self._heard_removed(user, str(response.get("error", "")))

    def _heard_own(self, response: dict[str, Any]) -> None:
        """Give oneself the rights of the aggregator, once; the plugin then ends the connection."""
        roles = _list_at(response, "data", "client", "roles")
        if self._own not in [role.get("rolename") for role in roles if isinstance(role, dict)]:
            log.info(
                "The aggregator gives itself its rights at the broker, once: the broker ends the "
                "connection for that. What it refused until then is said again."
            )
            rights = rights_of("aggregator", "", self._topics)
            self._say(
                {"command": "createRole", "rolename": self._own, "acls": _rules(rights)},
                {"command": "addClientRole", "username": self._own, "rolename": self._own},
            )

    def _heard_all(self, response: dict[str, Any]) -> None:
        self._silence.cancel()
        self._members.note(plugin="yes")
        users = _list_at(response, "data", "clients")
        self._there = {user for user in users if isinstance(user, str)}
        self._name_unknown(self._there)
        self.look()

    def _name_unknown(self, there: set[str]) -> None:
        """Say which accounts of this federation are left alone, once."""
        known = {one[0] for one in self._members.accounts()} | self._members.revoked().keys()
        ours = {user for user in there if user.startswith(f"{self._topics.federation}_")}
        before, self._unknown = self._unknown, sorted(ours - known - {self._own})
        if self._unknown and self._unknown != before:
            further = len(self._unknown) - _NAMED
            log.warning(
                "The broker has accounts of this federation that are not in this list of members: "
                "%s%s. They are left. Look whether --state is the right one; `mosquitto_ctrl ... "
                "dynsec deleteClient NAME` removes one.",
                ", ".join(map(shown, self._unknown[:_NAMED])),
                f" (and {further} more)" if further > 0 else "",
            )

    def _heard_made(self, username: str, error: str) -> None:
        digest = self._asked.pop(username)
        if error:
            log.error("The broker does not make the account %s: %s.", username, error[:200])
            return
        if self._there is not None:
            self._there.add(username)
        self._members.told(username, digest)
        self._done(username)

    def _heard_removed(self, username: str, error: str) -> None:
        if error not in ("", _NOT_THERE):  # it is told again with the next connection
            log.error("The broker does not remove the account %s: %s.", username, error[:200])
            return
        self._removing.remove(username)
        self._members.removed(username)
        if not error:
            log.info("The broker has removed the account %s.", username)

    def _done(self, username: str) -> None:
        if then := self._waiting.pop(username, None):
            then()

    def _put(self, username: str, kind: AccountKind, name: str, password: str) -> None:
        """Make an account anew, whatever there was; who uses it is thrown out."""
        self._asked[username] = digest_of(password.encode())
        self._removing.discard(username)
        rights = rights_of(kind, name, self._topics)
        self._say(
            *_removed(username),
            {"command": "createRole", "rolename": username, "acls": _rules(rights)},
            {
                "command": "createClient",
                "username": username,
                "password": password,
                "roles": [{"rolename": username}],
                "correlationData": username,
            },
        )

    def _says_nothing(self) -> None:
        self._members.note(plugin="no")
        log.error(
            "The broker does not let this aggregator make accounts, so nobody can join: it has no "
            "dynamic-security plugin, or %s is not its administrator (docs/deploy.md).",
            self._own,
        )

    def _say(self, *commands: dict[str, Any]) -> None:
        self._publish(CONTROL, json.dumps({"commands": commands}).encode())


def _removed(username: str) -> Iterable[dict[str, Any]]:
    yield {"command": "deleteClient", "username": username, "correlationData": username}
    yield {"command": "deleteRole", "rolename": username}


def _rules(rights: Rights) -> list[dict[str, Any]]:
    """Write rights as the plugin has them; what is allowed to nobody it forbids."""
    kinds = (
        *(("subscribePattern", topic) for topic in rights.reads),
        *(("publishClientSend", topic) for topic in rights.writes),
    )
    return [{"acltype": kind, "topic": topic, "allow": True} for kind, topic in kinds]


def _list_at(value: Any, *names: str) -> list[Any]:
    """Give a list that stands within objects; an empty one if it does not."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def _responses(payload: bytes) -> list[dict[str, Any]]:
    """Read an answer; what is none is left aside."""
    try:
        found = _list_at(json.loads(payload), "responses")
    except (ValueError, RecursionError):
        return []
    return [one for one in found if isinstance(one, dict)]

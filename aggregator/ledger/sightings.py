"""What was seen of clients: gathered until the ledger writes anyway, and bounded."""

import sqlite3
from typing import Any, Final

MOST_CLIENTS: Final = 100_000
"""Clients remembered; of further ones, those not seen for longest are forgotten."""

_ADDED: Final = ("bytes_up", "bytes_down", "updates")
"""What is seen of a client and added up."""


def note(seen: dict[str, dict[str, Any]], client: str, facts: dict[str, Any], now: float) -> None:
    """Take what was seen of a client into what is not written yet."""
    _merge(seen.setdefault(client, {}), facts)
    # When it was last seen; the column is older than the word.
    seen[client]["heard"] = now
    if len(seen) > MOST_CLIENTS:
        del seen[next(iter(seen))]


def enter(connection: sqlite3.Connection, client: str, facts: dict[str, Any], now: float) -> None:
    """Write what was seen of a client."""
    connection.execute("INSERT OR IGNORE INTO clients (name, heard) VALUES (?, ?)", (client, now))
    for name, value in facts.items():
        change = f"{name} + ?" if name in _ADDED else "?"
        # The name is one of ours, never a client's.
        connection.execute(
            f"UPDATE clients SET {name} = {change} WHERE name = ?",  # noqa: S608 - as above
            (value, client),
        )


def forget(connection: sqlite3.Connection) -> None:
    """Forget clients beyond the bound."""
    connection.execute(
        "DELETE FROM clients WHERE name IN "
        "(SELECT name FROM clients ORDER BY heard DESC LIMIT -1 OFFSET ?)",
        (MOST_CLIENTS,),
    )


def _merge(known: dict[str, Any], facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        known[name] = known.get(name, 0) + value if name in _ADDED else value

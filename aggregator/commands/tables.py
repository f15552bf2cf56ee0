"""Tables for a terminal, of what :mod:`.report` gathers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from shared.command.log_bound import printable

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN: Final = 10
"""Rounds and refusals that `aggregator status` shows; `--json` has more."""

_MB: Final = 1e6


def status_tables(status: dict[str, Any]) -> Iterator["Table"]:
    """Lay out what :func:`.report.status_of` gave, for a terminal."""
    rounds, refusals = status["rounds"][:_SHOWN], status["refusals"][:_SHOWN]
    tables = (_rounds(rounds), _notes(rounds), _clients(status["clients"]), _refusals(refusals))
    yield _facts(status)
    yield from (table for table in tables if table.rows)


def _facts(status: dict[str, Any]) -> "Table":
    """Lay out what there is one of."""
    from rich.table import Table

    model, updates = status["model"], status["updates"]
    facts = Table(show_header=False, box=None)
    _row(facts, "federation", f"{status['federation']} (run {status['run'][:8]})")
    _row(facts, "served", "now" if status["served"] else "by nobody now")
    _row(facts, "model", f"{status['architecture']}, {_described(model)}")
    _row(facts, "labels", ", ".join(label["name"] for label in status["task"]["labels"]))
    wanted = status["rounds_wanted"]
    last = "no last one" if wanted is None else f"{wanted} wanted"
    _row(facts, "rounds", f"{status['strategy']}, {last}")
    _row(facts, "updates", f"{updates['accepted']} accepted, {_megabytes(updates['bytes'])} MB")
    _row(facts, "privacy", _budget(status["privacy"]))
    if secure := status["secure"]:
        _row(facts, "secure round", secure["sentence"])
    return facts


def _rounds(entries: list[dict[str, Any]]) -> "Table":
    table = _table("round", "state", "updates", "invited", "loss", "UAR before", "seconds")
    for entry in reversed(entries):
        _row(
            table,
            str(entry["round"]),
            entry["state"],
            f"{len(entry['updates'])} of {entry['wanted']}",
            str(len(entry["invited"])),
            _decimals(entry["loss"], 4),
            _decimals(entry["base_uar"], 3),
            _decimals(entry["seconds"], 1),
        )
    return table


def _notes(entries: list[dict[str, Any]]) -> "Table":
    table = _table("round", "state", "note")
    for entry in reversed(entries):
        if entry["note"]:
            _row(table, str(entry["round"]), entry["state"], entry["note"])
    return table


def _clients(entries: list[dict[str, Any]]) -> "Table":
    now = _now()
    table = _table("client", "online", "last seen", "examples", "updates", "MB up", "MB down")
    for entry in entries:
        _row(
            table,
            entry["name"],
            _there(entry),
            _ago(entry["last_seen"], now),
            str(entry["examples"] or "-"),
            str(entry["updates"]),
            f"{entry['bytes_up'] / _MB:.1f}",
            f"{entry['bytes_down'] / _MB:.1f}",
        )
    return table


def _refusals(entries: list[dict[str, Any]]) -> "Table":
    now = _now()
    table = _table("refused", "client", "round", "reason", "what it was told")
    for entry in reversed(entries):
        number = "" if entry["round"] is None else str(entry["round"])
        _row(
            table,
            _ago(entry["at"], now),
            entry["client"],
            number,
            entry["reason"],
            entry["sentence"],
        )
    return table


def devices_table(devices: list[dict[str, Any]]) -> "Table":
    """Lay out what :func:`.report.devices_of` gave, for a terminal."""
    now = _now()
    table = _table("device", "key", "joined", "last seen", "updates", "UAR", "software")
    for entry in devices:
        if "key" not in entry:
            late = datetime.fromisoformat(entry["invited_until"]) < now
            what = "its invitation has expired" if late else "invited"
            _row(table, entry["name"], "", what, "", "", "", "")
            continue
        _row(
            table,
            entry["name"],
            entry["key"][:12],
            _ago(entry["since"], now),
            "never" if entry["last_seen"] is None else _ago(entry["last_seen"], now),
            str(entry["updates"]),
            _decimals(entry["uar"], 3),
            (entry["software"] or "").removeprefix("chorus-edge "),
        )
    return table


def models_table(models: list[dict[str, Any]]) -> "Table":
    """Lay out what :func:`.report.models_of` gave, for a terminal."""
    table, now = _table("round", "version", "from", "digest", "MB", "UAR", "file", "made"), _now()
    for place, model in enumerate(models):
        kept = "kept" if model["kept"] else "removed"
        origins = {"initial": "the start", "rollback": f"back to {model['parent']}"}
        _row(
            table,
            str(model["round"]),
            str(model["version"]),
            origins.get(model["origin"], f"version {model['parent']}"),
            model["digest"][:12],
            f"{model['bytes'] / _MB:.1f}",
            _decimals(model["uar"], 3),
            "current" if place == 0 else kept,
            _ago(model["created"], now),
        )
    return table


def ancestry_table(entries: list[dict[str, Any]]) -> "Table":
    """Lay out what :func:`.report.ancestry_of` gave, for a terminal."""
    table = _table("version", "round", "origin", "digest", "strategy", "updates")
    for entry in entries:
        updates = (
            f"{u['client']} {u['digest'][:12]} ({u['examples']})" for u in entry.get("updates", [])
        )
        _row(
            table,
            str(entry["version"]),
            str(entry["round"]),
            entry["origin"],
            entry["digest"][:12],
            entry.get("settings", {}).get("strategy", ""),
            "\n".join(updates),
        )
    return table


def _budget(privacy: dict[str, float] | None) -> str:
    if privacy is None:
        return "no budget, no noise"
    spent = f"epsilon {privacy['spent']:.3g} of {privacy['epsilon']:g} spent"
    return f"{spent}, delta {privacy['delta']:g}"


def _there(client: dict[str, Any]) -> str:
    """Say whether a client is there, and whether it has too few examples to take part."""
    if not client["present"]:
        return "no"
    return "yes, too few" if client["supply"] in ("none", "some") else "yes"


def _described(model: dict[str, Any] | None) -> str:
    if model is None:
        return "none yet"
    uar = f", UAR {model['uar']:.3f} ({model['scored_on']})" if model["uar"] is not None else ""
    return (
        f"of round {model['round']}, {model['digest'][:12]}, {_megabytes(model['bytes'])} MB{uar}"
    )


def _table(*columns: str) -> "Table":
    """Begin a table without lines between its columns: 80 of a terminal hold it."""
    from rich import box
    from rich.table import Column, Table

    heads = [Column(name, overflow="fold") for name in columns]
    return Table(*heads, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _row(table: "Table", *cells: str) -> None:
    """Add a row: some of what it says is in a device's words."""
    table.add_row(*map(printable, cells))


def _now() -> datetime:
    return datetime.now(UTC)


def _megabytes(count: int) -> str:
    """Write bytes in MB, for a sentence: those of a small model too."""
    return f"{count / _MB:.1f}" if count >= _MB / 10 or not count else f"{count / _MB:.3f}"


def _decimals(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _ago(at: str, now: datetime) -> str:
    """Say how long ago something was, as people do."""
    seconds = max(0.0, (now - datetime.fromisoformat(at)).total_seconds())
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"

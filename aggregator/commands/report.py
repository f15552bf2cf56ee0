"""What the ledger tells, as JSON and as tables."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aggregator.enrolment.members import Members
from aggregator.ledger import History, RoundRecord, UpdateRecord, Version
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.model_files import ModelFiles
from aggregator.rounds.scoring import scores_of, summed_confusion
from aggregator.secure.progress import progress_of
from shared.metrics import Scores
from shared.secure_round import CODEC
from shared.task import Task

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN: Final = 10
"""Rounds and refusals that `aggregator status` shows; `--json` has more."""

_MOST: Final = 100
"""Rounds that `--json` has."""

_MB: Final = 1e6


def status_of(history: History) -> dict[str, Any]:
    """Gather what `aggregator status --json` prints."""
    settings, task = history.settings, history.task
    current = history.current()
    updates, bytes_ = history.update_totals()
    clients, served = history.clients(), history.served
    scores = _scores(history)
    return {
        "federation": settings["federation"],
        "run": history.run,
        "served": served,
        "strategy": settings["strategy"],
        "rounds_wanted": settings["rounds"],
        "model": current and _version(current, scores.get(current.number)),
        "architecture": settings["model"],
        "task": task.to_dict(),
        "privacy": _privacy(history),
        "secure": _stage(history),
        "updates": {"accepted": updates, "bytes": bytes_},
        "bytes_up": sum(client.bytes_up for client in clients),
        "bytes_down": sum(client.bytes_down for client in clients),
        "rounds": [_round(record, history, task) for record in history.rounds(_MOST)],
        "clients": [
            {
                "name": client.name,
                # Of who is there when nobody serves it, nothing is known.
                "present": client.present and served,
                "trains": client.trains,
                "examples": client.examples,
                "supply": client.supply,
                "software": client.software,
                "last_seen": _iso(client.last_seen),
                "updates": client.updates,
                "bytes_up": client.bytes_up,
                "bytes_down": client.bytes_down,
            }
            for client in clients
        ],
        "refusals": [
            {
                "at": _iso(refusal.at),
                "client": refusal.client,
                "round": refusal.round,
                "update": refusal.digest,
                "reason": refusal.reason,
                "sentence": refusal.sentence,
            }
            for refusal in history.refusals()
        ],
    }


def status_tables(status: dict[str, Any]) -> Iterator["Table"]:
    """Lay out what :func:`status_of` gave, for a terminal."""
    now = _now()
    yield _facts(status)
    rounds = _table("round", "state", "updates", "invited", "loss", "UAR before", "seconds")
    for entry in reversed(status["rounds"][:_SHOWN]):
        rounds.add_row(
            str(entry["round"]),
            entry["state"],
            f"{len(entry['updates'])} of {entry['wanted']}",
            str(len(entry["invited"])),
            _decimals(entry["loss"], 4),
            _decimals(entry["base_uar"], 3),
            _decimals(entry["seconds"], 1),
        )
    if status["rounds"]:
        yield rounds
    notes = _table("round", "why it was abandoned")
    for entry in reversed(status["rounds"][:_SHOWN]):
        if entry["note"]:
            notes.add_row(str(entry["round"]), entry["note"])
    if notes.rows:
        yield notes
    clients = _table("client", "online", "last seen", "examples", "updates", "MB up", "MB down")
    for entry in status["clients"]:
        clients.add_row(
            entry["name"],
            _there(entry),
            _ago(entry["last_seen"], now),
            str(entry["examples"]),
            str(entry["updates"]),
            f"{entry['bytes_up'] / _MB:.1f}",
            f"{entry['bytes_down'] / _MB:.1f}",
        )
    if status["clients"]:
        yield clients
    refusals = _table("refused", "client", "round", "reason", "what it was told")
    for entry in reversed(status["refusals"][:_SHOWN]):
        number = "" if entry["round"] is None else str(entry["round"])
        refusals.add_row(
            _ago(entry["at"], now), entry["client"], number, entry["reason"], entry["sentence"]
        )
    if status["refusals"]:
        yield refusals


def devices_of(history: History, members: Members) -> list[dict[str, Any]]:
    """List who has joined a federation by invitation, then who is invited and has not."""
    seen = {client.name: client for client in history.clients()}
    told: dict[str, list[UpdateRecord]] = {}
    for record in history.rounds(_SHOWN):
        for update in history.updates(record.number):
            told.setdefault(update.client, []).append(update)
    most, names = history.settings["most_examples"], history.task.names
    found = []
    joined, invitations = members.joined(), members.invitations()
    for name, member in joined.items():
        client = seen.get(name)
        scores = scores_of(summed_confusion(told.get(name, []), most), names)
        found.append(
            {
                "name": name,
                "key": str(member.key),
                "since": _iso(member.since),
                "present": client is not None and client.present,
                "last_seen": client and _iso(client.last_seen),
                "software": client and client.software,
                "updates": client.updates if client else 0,
                "uar": scores and scores.uar,
            }
        )
    for name, invitation in invitations.items():
        if name not in joined:
            found.append({"name": name, "invited_until": _iso(invitation.expires)})
    return found


def devices_table(devices: list[dict[str, Any]]) -> "Table":
    """Lay out what :func:`devices_of` gave, for a terminal."""
    now = _now()
    table = _table("device", "key", "joined", "last seen", "updates", "UAR", "software")
    for entry in devices:
        if "key" not in entry:
            late = datetime.fromisoformat(entry["invited_until"]) < now
            what = "its invitation has expired" if late else "invited"
            table.add_row(entry["name"], "", what, "", "", "", "")
            continue
        table.add_row(
            entry["name"],
            entry["key"][:12],
            _ago(entry["since"], now),
            "never" if entry["last_seen"] is None else _ago(entry["last_seen"], now),
            str(entry["updates"]),
            _decimals(entry["uar"], 3),
            (entry["software"] or "").removeprefix("chorus-edge "),
        )
    return table


def models_of(history: History, files: ModelFiles) -> list[dict[str, Any]]:
    """List all versions of the model, the newest first, which is the current one."""
    scores = _scores(history)
    return [
        {**_version(version, scores.get(version.number)), "kept": files.has(version)}
        for version in history.versions()
    ]


def models_table(models: list[dict[str, Any]]) -> "Table":
    """Lay out what :func:`models_of` gave, for a terminal."""
    table, now = _table("round", "version", "from", "digest", "MB", "UAR", "file", "made"), _now()
    for place, model in enumerate(models):
        kept = "kept" if model["kept"] else "removed"
        origins = {"initial": "the start", "rollback": f"back to {model['parent']}"}
        table.add_row(
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


def ancestry_of(history: History, version: Version) -> list[dict[str, Any]]:
    """Tell where a version comes from: each entry is computed from the one after it."""
    scores = _scores(history)
    entries = []
    for ancestor in history.ancestry(version.number):
        entry = _version(ancestor, scores.get(ancestor.number))
        record = history.round(ancestor.round) if ancestor.origin == "round" else None
        if record:
            entry["settings"] = record.settings
            entry["updates"] = [_update(update) for update in history.updates(record.number)]
        entries.append(entry)
    return entries


def ancestry_table(entries: list[dict[str, Any]]) -> "Table":
    """Lay out what :func:`ancestry_of` gave, for a terminal."""
    table = _table("version", "round", "origin", "digest", "strategy", "updates")
    for entry in entries:
        updates = (
            f"{u['client']} {u['digest'][:12]} ({u['examples']})" for u in entry.get("updates", [])
        )
        table.add_row(
            str(entry["version"]),
            str(entry["round"]),
            entry["origin"],
            entry["digest"][:12],
            entry.get("settings", {}).get("strategy", ""),
            "\n".join(updates),
        )
    return table


def _facts(status: dict[str, Any]) -> "Table":
    """Lay out what there is one of."""
    from rich.table import Table

    model, updates = status["model"], status["updates"]
    facts = Table(show_header=False, box=None)
    facts.add_row("federation", f"{status['federation']} (run {status['run'][:8]})")
    facts.add_row("served", "now" if status["served"] else "by nobody now")
    facts.add_row("model", f"{status['architecture']}, {_described(model)}")
    facts.add_row("labels", ", ".join(label["name"] for label in status["task"]["labels"]))
    wanted = status["rounds_wanted"]
    last = "no last one" if wanted is None else f"{wanted} wanted"
    facts.add_row("rounds", f"{status['strategy']}, {last}")
    facts.add_row("updates", f"{updates['accepted']} accepted, {_megabytes(updates['bytes'])} MB")
    facts.add_row("privacy", _budget(status["privacy"]))
    if secure := status["secure"]:
        facts.add_row("secure round", secure["sentence"])
    return facts


def _privacy(history: History) -> dict[str, float] | None:
    """Say what the privacy budget is and what of it is spent, if there is one."""
    settings = history.settings
    if settings.get("dp_epsilon") is None:
        return None
    _, spent = history.charges()
    return {"epsilon": settings["dp_epsilon"], "delta": settings["dp_delta"], "spent": spent}


def _stage(history: History) -> dict[str, Any] | None:
    """Say where the open secure round is, if there is one."""
    last = next(iter(history.rounds(1)), None)
    if last is None or last.state != "open":
        return None
    found = progress_of(FederationFolder(history.path.parent).secure_round(last.number))
    if found is None:
        return None
    return {"stage": found.stage, "missing": list(found.missing), "sentence": found.sentence}


def _budget(privacy: dict[str, float] | None) -> str:
    if privacy is None:
        return "no budget, no noise"
    spent = f"epsilon {privacy['spent']:.3g} of {privacy['epsilon']:g} spent"
    return f"{spent}, delta {privacy['delta']:g}"


def _scores(history: History) -> dict[int, Scores]:
    """Score versions: on the validation corpus, or by what clients told in the next round."""
    names = history.task.names
    found = {
        record.base: scores
        for record in reversed(history.rounds())
        if (scores := scores_of(record.confusion, names))
    }
    for version in history.versions():
        if scores := scores_of(version.validation, names):
            found[version.number] = scores
    return found


def _version(version: Version, scores: Scores | None) -> dict[str, Any]:
    return {
        "version": version.number,
        "origin": version.origin,
        "round": version.round,
        "parent": version.parent,
        "digest": version.digest,
        "bytes": version.bytes,
        "average": version.average,
        "uar": scores and scores.uar,
        "accuracy": scores and scores.accuracy,
        "scored_on": scores and ("validation" if version.validation else "clients"),
        "created": _iso(version.created),
    }


def _round(record: RoundRecord, history: History, task: Task) -> dict[str, Any]:
    scores = scores_of(record.confusion, task.names)
    return {
        "round": record.number,
        "state": record.state,
        "base": record.base,
        "invited": list(record.invited),
        "wanted": record.wanted,
        "opened": _iso(record.opened),
        "ended": None if record.ended is None else _iso(record.ended),
        "loss": record.loss,
        "base_uar": scores and scores.uar,
        "seconds": None if record.ended is None else record.ended - record.opened,
        "aggregation_seconds": record.seconds,
        "note": record.note,
        "updates": [_update(update) for update in history.updates(record.number)],
    }


def _update(update: UpdateRecord) -> dict[str, Any]:
    masked = update.codec == CODEC  # then nobody knows anything of this one
    return {
        "client": update.client,
        "digest": update.digest,
        "bytes": update.bytes,
        "codec": update.codec,
        "examples": None if masked else update.examples,
        "norm": None if masked else update.norm,
        "loss": update.loss,
        "accepted": _iso(update.accepted),
    }


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


def _now() -> datetime:
    return datetime.now(UTC)


def _megabytes(count: int) -> str:
    """Write bytes in MB, for a sentence: those of a small model too."""
    return f"{count / _MB:.1f}" if count >= _MB / 10 or not count else f"{count / _MB:.3f}"


def _decimals(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _ago(at: str, now: datetime) -> str:
    """Say how long ago something was, as people do."""
    seconds = max(0.0, (now - datetime.fromisoformat(at)).total_seconds())
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"

"""What the ledger tells, as JSON has it; :mod:`.tables` lays it out for a terminal."""

from datetime import UTC, datetime
from typing import Any, Final

from aggregator.enrolment.members import Members
from aggregator.ledger import History, RoundRecord, UpdateRecord, Version
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.model_files import ModelFiles
from aggregator.rounds.scoring import scores_of, summed_confusion
from aggregator.secure.progress import progress_of
from shared.metrics import Scores
from shared.secure_round import CODEC
from shared.task import Task

_MOST: Final = 100
"""Rounds that `aggregator status --json` has."""

_RECENT: Final = 10
"""Rounds that a device is scored on."""


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
                "examples": client.examples or None,
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


def devices_of(history: History, members: Members) -> list[dict[str, Any]]:
    """List who has joined a federation by invitation, then who is invited and has not."""
    seen = {client.name: client for client in history.clients()}
    told: dict[str, list[UpdateRecord]] = {}
    for record in history.rounds(_RECENT):
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


def models_of(history: History, files: ModelFiles) -> list[dict[str, Any]]:
    """List all versions of the model, the newest first, which is the current one."""
    scores = _scores(history)
    return [
        {**_version(version, scores.get(version.number)), "kept": files.has(version)}
        for version in history.versions()
    ]


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


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

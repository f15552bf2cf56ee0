"""What the ledger tells, as the curves of a tracker of experiments."""

from collections.abc import Iterator

from aggregator.ledger import History, RoundRecord
from aggregator.rounds.scoring import scores_of
from shared.secure_round import CODEC
from shared.tracking import Point, TrackedRun

_EXPERIMENT = "chorus federations"


def tracked_run(history: History) -> TrackedRun:
    """Give the settings and curves of a federation: a step a round that has its model.

    Rounds that were given up are left out, and of a round only what does not change any more is
    told, so that a tracker may add what is new to what it has.
    """
    settings = {name: value for name, value in history.settings.items() if value is not None}
    done = [record for record in reversed(history.rounds()) if record.state == "done"]
    validated = {version.round: version.validation for version in history.versions()}
    names = history.task.names
    points = []
    for record in done:
        values = dict(_values(record, history))
        if before := scores_of(record.confusion, names):
            values["round/uar before"] = before.uar
        if scores := scores_of(validated.get(record.number), names):
            values |= {"validation/uar": scores.uar, "validation/accuracy": scores.accuracy}
            recalls = {name: found.recall for name, found in scores.classes.items()}
            values |= {f"validation/recall {name}": value for name, value in recalls.items()}
        points.append(Point(record.number, record.ended or record.opened, values))
    wanted, current = history.settings["rounds"], history.current()
    rolled_back = current is not None and current.origin == "rollback"
    ended = wanted is not None and bool(done) and done[-1].number >= wanted and not rolled_back
    return TrackedRun(
        _EXPERIMENT, settings["federation"], history.run, settings, points, ended=ended
    )


def _values(record: RoundRecord, history: History) -> Iterator[tuple[str, float | None]]:
    updates = history.updates(record.number)
    yield "round/loss", record.loss
    yield "round/clients", len(updates)
    yield "round/bytes up", sum(update.bytes for update in updates)
    # Of masked updates nobody knows how many examples they were made from.
    if not any(update.codec == CODEC for update in updates):
        yield "round/examples", sum(update.examples for update in updates)
    yield "round/seconds", (record.ended or record.opened) - record.opened
    yield "round/aggregation seconds", record.seconds

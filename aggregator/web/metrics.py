"""How a federation does, as figures that Prometheus collects."""

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aggregator.ledger import ClientRecord
from aggregator.secure.progress import ASKED_FOR
from aggregator.web.overview import Overview, Snapshot
from aggregator.web.standing import Look
from shared.errors import MissingPartError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of the text that :meth:`Metrics.text` gives (Prometheus, Exposition formats)."""

DAY: Final = 24 * 3600.0
"""Seconds without a word after which a device counts as away for a day."""

MONTH: Final = 30 * DAY
"""Seconds without a word after which a device counts as gone for good, unless it has joined."""

_PHASES: Final = ("waiting", "open", "aggregating", "finished")


class Metrics:
    """The figures of a federation, read when they are asked for.

    Parameters
    ----------
    overview
        What the ledger tells.
    look
        Says where the federation stands.
    folder
        Where the federation is kept.
    members
        Gives the names of those who have joined; ``None`` where devices do not join.
    name_devices
        Whether to tell of each device by its name.
    clock
        Gives the time, in seconds since 1970.
    """

    def __init__(
        self,
        overview: Overview,
        look: Look,
        folder: Path,
        *,
        members: Callable[[], Collection[str]] | None = None,
        name_devices: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._overview = overview
        self._look = look
        self._folder = folder
        self._members = members
        self._name_devices = name_devices
        self._clock = clock

    def text(self) -> bytes:
        """Write the figures in Prometheus' text format.

        Raises
        ------
        MissingPartError
            If prometheus-client is not installed.
        FederationError, TrustError, StorageError
            If the ledger or the list of members cannot be read.
        """
        try:
            from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
        except ImportError as error:
            raise MissingPartError(
                "Figures for Prometheus need prometheus-client, which is not installed.",
                "pip install 'chorus-edge[server]'.",
            ) from error
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Collector(list(self._metrics(self._overview.read()))))
        return generate_latest(registry)

    def _metrics(self, snapshot: Snapshot) -> Iterator["Metric"]:
        yield from self._round(snapshot)
        yield from self._clients(snapshot)
        yield from _totals(snapshot)
        yield from _scores(snapshot)
        free = shutil.disk_usage(self._folder).free
        yield _gauge("disk_free_bytes", "Free where the federation is kept.", free)
        if self._name_devices:
            yield from _by_device(snapshot)

    def _round(self, snapshot: Snapshot) -> Iterator["Metric"]:
        now = self._look()
        yield _gauge("round", "The current round or, while waiting, the next one.", now.number)
        phases = {phase: float(phase == now.phase) for phase in _PHASES}
        yield _gauge("phase", "1 for what the federation is doing now.", phases, "phase")
        yield _gauge("round_updates", "Updates of the round that count.", now.counted)
        yield _gauge("round_updates_wanted", "Updates that close the round.", now.wanted)
        settings = self._overview.settings
        # Each stage of a secure round may take as long as another round takes whole.
        stages = len(ASKED_FOR) if settings.get("secure") else 1
        longest = float(settings["round_seconds"]) * stages
        yield _gauge("round_longest_seconds", "A round's length, all stages of it.", longest)
        if snapshot.rounds:
            opened = snapshot.rounds[0][0].opened
            yield _gauge("round_opened_timestamp_seconds", "When the newest round opened.", opened)
        if snapshot.versions:
            made = snapshot.versions[0].created
            yield _gauge("model_timestamp_seconds", "When the current model was made.", made)

    def _clients(self, snapshot: Snapshot) -> Iterator["Metric"]:
        clients = snapshot.clients
        numbers = {
            "known": len(clients),
            "present": sum(client.present for client in clients),
            "ready": self._look().ready,
            "away_a_day": self._away(clients),
        }
        text = "Devices: ever seen, there, ready to train, away for a day."
        yield _gauge("devices", text, numbers, "state")

    def _away(self, clients: Sequence[ClientRecord]) -> int:
        """Count who has been away for a day and is expected: who was shut out is not missed."""
        now = self._clock()
        gone = [one for one in clients if not one.present and now - one.last_seen > DAY]
        if self._members is None:
            return sum(now - one.last_seen < MONTH for one in gone)
        members = self._members()
        return sum(one.name in members for one in gone)


class _Collector:
    """Gives metrics to a registry of prometheus-client."""

    def __init__(self, metrics: Sequence["Metric"]) -> None:
        self._metrics = metrics

    def collect(self) -> Sequence["Metric"]:
        """Give them."""
        return self._metrics


def _totals(snapshot: Snapshot) -> Iterator["Metric"]:
    yield _counter("rounds", "Rounds that have ended, by how.", snapshot.ended, "state")
    yield _counter("updates", "Updates accepted.", snapshot.tally.updates, "codec")
    yield _counter("update_bytes", "Bytes of accepted updates.", snapshot.tally.bytes, "codec")
    yield _counter("refusals", "What was refused of devices.", snapshot.refused)
    up = sum(client.bytes_up for client in snapshot.clients)
    down = sum(client.bytes_down for client in snapshot.clients)
    text = "Bytes of updates that arrived, and of models that were sent."
    yield _counter("transferred_bytes", text, {"up": up, "down": down}, "direction")


def _scores(snapshot: Snapshot) -> Iterator["Metric"]:
    for name, text in (
        ("uar", "UAR, on the devices' held-out examples, of the model the round began with."),
        ("validation", "UAR of the round's model on the validation corpus."),
        ("loss", "Mean training loss of the round."),
    ):
        told = [value for point in snapshot.course if (value := getattr(point, name)) is not None]
        if told:
            yield _gauge(f"newest_{name}", f"{text} Of the newest round that told it.", told[-1])


def _by_device(snapshot: Snapshot) -> Iterator["Metric"]:
    seen = {client.name: client.last_seen for client in snapshot.clients}
    examples = {one.name: float(one.examples) for one in snapshot.clients if one.examples}
    text = "When something of the device arrived last."
    yield _gauge("device_last_seen_timestamp_seconds", text, seen, "device")
    yield _gauge("device_examples", "Examples its last update was made of.", examples, "device")
    yield _gauge("device_uar", "UAR on its held-out examples.", snapshot.tally.scores, "device")


def _gauge(name: str, text: str, value: Any, label: str = "") -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily, name, text, value, label)


def _counter(name: str, text: str, value: Any, label: str = "") -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily, name, text, value, label)


def _filled(kind: Any, name: str, text: str, value: Any, label: str) -> "Metric":
    """Make a metric of one value, or of one for each value of a label."""
    metric: Metric = kind(f"chorus_{name}", text, labels=[label] if label else [])
    values = value.items() if label else [(None, value)]
    for each, number in values:
        metric.add_metric([each] if label else [], number)  # type: ignore[attr-defined] # of both
    return metric

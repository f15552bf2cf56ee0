"""One run: from utterances and settings to a folder with a model and its scores."""

import functools
import math
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, Protocol

from aggregator.strategies.averaging import averaged
from edge_client.learning.training import Engine
from edge_client.simulation.central_training import CentralTraining
from edge_client.simulation.checkpoint import Checkpoint, damaged
from edge_client.simulation.client_work import Workers
from edge_client.simulation.data import ClientShares, Data, Split, prepare, split
from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.first_weights import first_weights
from edge_client.simulation.given_files import digests_of_files
from edge_client.simulation.known import document_of, examples_by, score_by_known
from edge_client.simulation.normalisation import voice_model
from edge_client.simulation.pictures import draw_history, draw_partition
from edge_client.simulation.reliability_picture import draw_reliability
from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.scoring import Tested, calibrate, score
from edge_client.simulation.secure_federation import SecureFederation
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.summary import summarise
from edge_client.simulation.teaching import card_of_run
from edge_client.simulation.trainer import Trainer
from edge_client.simulation.utterances import Utterances
from edge_client.simulation.versions import installed_versions
from shared.errors import (
    ChorusError,
    StorageError,
)
from shared.features.labelled_clips import together
from shared.features.start_file import save_model
from shared.features.voice import VoiceModel
from shared.front_ends import front_end_of
from shared.model_notes import ModelNotes
from shared.model_notes.calibration import UNMEASURED, Calibration
from shared.pictures.confusion import draw_confusion
from shared.training import Examples
from shared.weights import Weights

_CHECKPOINT_EVERY: Final = 2.0
"""Seconds between checkpoints, at least: a crash costs no more than this."""

_CHECKPOINT_SHARE: Final = 0.05
"""Share of the time that checkpoints may take, at most: a dense model's take a second."""

_GO_ON: Final = "The same command goes on with it (simulate: add --resume)."


class Watcher(Protocol):
    """Shows how a run is going."""

    def start(self, done: int, rounds: int) -> None:
        """Learn how many rounds there are, and how many of them were done before."""
        ...

    def round(self, record: RoundRow) -> None:
        """Learn of a finished round."""
        ...


class Stopped(ChorusError):  # noqa: N818 -- not an error of anybody's
    """The run was stopped by Ctrl-C; what it reached is kept."""

    exit_code = 130


@dataclass(frozen=True)
class Run:
    """A run about to start.

    Attributes
    ----------
    settings
        What determines its result.
    folder
        Where its files go; claimed already.
    utterances
        What it works on.
    engines
        What trains; runs of the same architecture may share them.
    clock
        Gives seconds; for tests.
    workers
        Gives what trains the clients, if the engines do not.
    """

    settings: SimulationSettings
    folder: RunFolder
    utterances: Utterances
    engines: Sequence[Engine]
    clock: Callable[[], float] = time.perf_counter
    workers: Callable[[ClientShares], Workers | None] = lambda _: None

    @functools.cached_property
    def _voice(self) -> VoiceModel | None:
        """The voice model that belongs to this run's models, with normalisation ``voice``."""
        if self.settings.normalisation != "voice":
            return None
        train = split(self.utterances, self.settings).train
        return voice_model(self.utterances, train, front_end_of(self.settings.task.front_end))

    @functools.cached_property
    def _files(self) -> dict[str, str]:
        return digests_of_files(self.settings)

    def execute(self, watcher: Watcher) -> dict[str, Any]:
        """Run to the end, from the checkpoint if there is one.

        Returns
        -------
        dict
            What ``result.json`` holds.

        Raises
        ------
        Stopped
            After Ctrl-C, when what was reached is written.
        ChorusError
            If it cannot go on; what was reached is written, if it can be.
        """
        if finished := self.folder.read_result():
            self._check_begun_with(finished)
            return finished
        data = prepare(self.utterances, self.settings)
        rounds = self._rounds(data)
        reached = self._reached()
        try:
            rounds.restore(reached.number, dict(reached.state))
        except ValueError as error:
            raise damaged(self.folder.checkpoint, error) from error
        try:
            if reached.number:
                # Watchers read the table; a power cut may have come between it and the checkpoint.
                self.folder.write_rounds(reached.records)
            watcher.start(reached.number, self.settings.rounds)
            reached = self._loop(reached, rounds, data, watcher)
            return self._finish(reached, data)
        except KeyboardInterrupt:
            raise Stopped(f"Stopped; {self.folder.path} keeps what was reached.", _GO_ON) from None
        except StorageError as error:
            error.remedy = f"{error.remedy} {_GO_ON}"
            raise

    def _rounds(self, data: Data) -> Trainer:
        if self.settings.baseline:
            return CentralTraining(self.settings, self.engines[0], data.clients[0])
        kind = SecureFederation if self.settings.secure else SimulatedFederation
        clients = data.clients
        workers = self.workers(clients)
        return kind(self.settings, self.engines, clients, self.folder.controls, workers=workers)

    def _reached(self) -> Checkpoint:
        """Load the checkpoint; if there is none, begin before the first round."""
        if self.folder.checkpoint.exists():
            reached = Checkpoint.load(self.folder.checkpoint, self.engines[0].architecture)
            self._check_begun_with({"clips": reached.clips, "files": reached.files})
            return reached
        weights = first_weights(self.settings, self.engines[0].architecture)
        task, clips = self.settings.task.digest, self.utterances.digest
        return Checkpoint(
            0, weights, weights, weights, {}, task=task, clips=clips, files=self._files
        )

    def _check_begun_with(self, known: Mapping[str, Any]) -> None:
        self.folder.check_begun_with(known, self.utterances.digest, self._files)

    def _loop(
        self, reached: Checkpoint, rounds: Trainer, data: Data, watcher: Watcher
    ) -> Checkpoint:
        """Run the rounds that are left."""
        saved, took = self.clock(), 0.0
        kept = reached.number
        try:
            while reached.number < self.settings.rounds:
                reached = self._round(reached, rounds, data)
                watcher.round(reached.records[-1])
                now = self.clock()
                if now - saved >= max(_CHECKPOINT_EVERY, took / _CHECKPOINT_SHARE):
                    self._save(reached, rounds)
                    kept, saved = reached.number, self.clock()
                    took = saved - now
            self._save(reached, rounds)
        except KeyboardInterrupt:
            if reached.number > kept:
                self._save(reached, rounds)
            raise Stopped(
                f"Stopped after round {reached.number} of {self.settings.rounds}; "
                f"{self.folder.path} keeps what was reached.",
                _GO_ON,
            ) from None
        except ChorusError:
            if reached.number > kept:
                with suppress(ChorusError):  # where the disk is full, that has been said
                    self._save(reached, rounds)
            raise
        return reached

    def _round(self, reached: Checkpoint, rounds: Trainer, data: Data) -> Checkpoint:
        """Run one round, score its averaged model, and choose between it and the best so far."""
        number = reached.number + 1
        begun = self.clock()
        outcome = rounds.run(number, reached.weights)
        average = self._average(reached, outcome.weights)
        seconds = self.clock() - begun
        scores = loss = None
        if len(data.validation):
            found = self._evaluate(average, UNMEASURED, data.validation)
            scores, loss = found.scores, found.loss
        record = RoundRow(
            round=number,
            clients=outcome.clients,
            loss=outcome.loss,
            validation_loss=loss,
            validation_uar=scores.uar if scores else None,
            validation_accuracy=scores.accuracy if scores else None,
            seconds=seconds,
            bytes_down=outcome.bytes_down,
            bytes_up=outcome.bytes_up,
        )
        best = max((past.validation_uar or 0 for past in reached.records), default=-1)
        better = scores is None or self.settings.choose == "last" or scores.uar > best
        return Checkpoint(
            number=number,
            weights=outcome.weights,
            average=average,
            best=average if better else reached.best,
            state=rounds.state(),
            chosen=number if better else reached.chosen,
            records=(*reached.records, record),
            task=reached.task,
            clips=self.utterances.digest,
            files=self._files,
        )

    def _average(self, reached: Checkpoint, weights: Weights) -> Weights:
        """Take a round's weights into the running average."""
        if not self.settings.averaging or not reached.number:
            return weights
        return averaged(reached.average, weights, self.settings.averaging)

    def _evaluate(self, weights: Weights, calibration: Calibration, examples: Examples) -> Tested:
        return score(self.engines[0], weights, calibration, examples)

    def _save(self, reached: Checkpoint, rounds: Trainer) -> None:
        """Write what was reached: whatever happens now, it is kept."""
        rounds.sync(reached.number)  # before something says that it is there
        reached.save(self.folder.checkpoint)
        rounds.settle(reached.number)
        self.folder.write_rounds(reached.records)
        self._write_model(reached, UNMEASURED)

    def _write_model(self, reached: Checkpoint, calibration: Calibration) -> None:
        """Write the chosen model, with what is known of it."""
        notes = ModelNotes(calibration, card_of_run(self.settings))
        architecture = self.engines[0].architecture
        save_model(self.folder.model, reached.best, architecture, notes, self._voice)

    def _as_devices_know(self, validation: Examples, parts: Split) -> Examples:
        """Give the validation split as devices hear it, which know all, one or none of the moods.

        With a voice model: other statistics are for people who were heard in all.
        """
        if self.settings.normalisation != "voice" or not len(validation):
            return validation
        given = self.utterances, parts.train, parts.validation, self.settings
        return together([examples_by(known, *given) for known in ("all", "one", "none")])

    def _finish(self, reached: Checkpoint, data: Data) -> dict[str, Any]:
        """Calibrate the chosen model, score it on the test, and write the result."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        records, task, engine = reached.records, self.settings.task, self.engines[0]
        parts = split(self.utterances, self.settings)
        validation = self._as_devices_know(data.validation, parts)
        calibration = calibrate(engine, reached.best, validation, self.settings.initial)
        self._write_model(reached, calibration)
        found = score_by_known(
            self.utterances,
            parts,
            data.test,
            self.settings,
            partial(self._evaluate, reached.best, calibration),
        )
        result = self._result(reached, data, calibration, found)
        result["peak_memory_mb"] = round(peak / 1024, 1)
        own = found[self.settings.known]
        draw_confusion(own.scores, self.folder.confusion)
        draw_reliability(own.reliability, self.folder.reliability)
        draw_history([asdict(r) for r in records], self.folder.history, task, reached.chosen)
        draw_partition(data.clients.counts(task), self.folder.partition, task)
        # What summaries have, too, so that programs read both alike; a run's own says more.
        result = {**summarise([result]), **result}
        self.folder.write_result(result)
        return result

    def _result(
        self,
        reached: Checkpoint,
        data: Data,
        calibration: Calibration,
        found: Mapping[str, Tested],
    ) -> dict[str, Any]:
        """Put together what ``result.json`` says."""
        records, own = reached.records, found[self.settings.known]
        measured = calibration.reliability
        seconds = math.fsum(record.seconds for record in records)
        return {
            "task": self.settings.task.to_dict(),
            **own.scores.to_dict(),
            "loss": own.loss,
            "temperature": calibration.temperature,
            "calibration_error": own.reliability.error,
            "reliability": own.reliability.to_dict(),
            "validation_reliability": measured and measured.to_dict(),
            "known": document_of(
                {known: one.scores for known, one in found.items()},
                {known: one.reliability for known, one in found.items()},
            ),
            "chosen_round": reached.chosen,
            "validation_uar": records[reached.chosen - 1].validation_uar,
            "seconds": seconds,
            "seconds_per_round": seconds / len(records),
            "bytes_down_per_round": round(sum(r.bytes_down for r in records) / len(records)),
            "bytes_up_per_round": round(sum(r.bytes_up for r in records) / len(records)),
            "seed": self.settings.seed,
            "clients": len(data.clients),
            "utterances": {
                "train": sum(map(len, data.clients.places)),
                "validation": len(data.validation),
                "test": len(data.test),
                "skipped": [f"{s.clip.identifier}: {s.reason}" for s in self.utterances.skipped],
            },
            "clips": self.utterances.digest,
            "files": self._files,
            "settings": self.settings.model_dump(mode="json"),
            "versions": installed_versions(),
        }

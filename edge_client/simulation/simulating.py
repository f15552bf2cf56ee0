"""A simulated federation in a program of one's own, and its result as plain arrays."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies import STRATEGIES, Strategy
from edge_client.simulation.own_model import model_of
from edge_client.simulation.partitions import PARTITIONS, Partition
from edge_client.simulation.run import Stopped
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.study import Planned, execute
from edge_client.simulation.teaching import card_of_run
from shared.architectures import Architecture
from shared.codecs import CODECS, Codec
from shared.command import progress_console
from shared.errors import RunError, SettingsError
from shared.features.start_file import save_model
from shared.features.voice import VoiceModel
from shared.features.voice_file import load_voice
from shared.metrics import Scores
from shared.model_notes import ModelNotes
from shared.model_notes.calibration import Calibration, load_calibration
from shared.registry import Registry
from shared.settings_file import read_toml
from shared.task import Task
from shared.weights import Weights, load_weights


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What a simulation came to.

    Attributes
    ----------
    settings
        What determines it: the same settings give the same weights.
    scores
        Of the chosen model on the test: accuracy, UAR, precision, recall and macro-F1, and those
        of each label.
    confusion
        What they are computed from: shape ``(labels, labels)``, int64; rows are true labels,
        columns predicted ones, both in the order of ``task.names``.
    history
        The columns of ``rounds.csv`` by name, each of shape ``(rounds,)``, float64: ``round``,
        ``clients``, ``loss``, ``validation_loss``, ``validation_uar``, ``validation_accuracy``,
        ``seconds``, ``bytes_down``, ``bytes_up`` (see
        :class:`~edge_client.simulation.run_folder.RoundRow`). NaN where there is no value, such as
        validation scores without a validation split.
    weights
        The chosen model's, shape ``(architecture.parameters,)``, float32.
    architecture
        Which model that is.
    calibration
        How sure its answers may be: its temperature, and how often answers were right on the
        validation speakers, by their probability.
    voice
        The voice model that belongs to it, with ``normalisation="voice"``; else ``None``.
    document
        All that ``result.json`` holds: times, bytes, memory, versions, clips that were skipped.
    """

    settings: SimulationSettings
    scores: Scores
    confusion: NDArray[np.int64]
    history: dict[str, NDArray[np.float64]]
    weights: Weights
    architecture: Architecture
    calibration: Calibration
    voice: VoiceModel | None
    document: dict[str, Any]

    @property
    def task(self) -> Task:
        """What the model recognises."""
        return self.architecture.task

    def save_model(self, path: str | Path) -> None:
        """Write the chosen model as a ``model.safetensors``, and its voice model beside it.

        What an earlier model's statistics began with there goes: it is not this one's.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        notes = ModelNotes(self.calibration, card_of_run(self.settings))
        save_model(Path(path), self.weights, self.architecture, notes, self.voice)

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read a run from the folder that it was given: of :func:`simulate`, or of the command.

        Raises
        ------
        RunError
            If the folder holds no finished run, or its files are damaged.
        SettingsError
            If its model, codec or front end is not known here.
        WeightsError
            If the model's file is damaged.
        """
        files = RunFolder(Path(folder))
        document = files.read_result()
        if document is None or not files.config.exists():
            raise RunError(f"{folder} holds no finished run.", "Name the folder of one (--out).")
        settings = SimulationSettings.parse(read_toml(files.config))
        architecture = model_of(settings.model, settings.task)
        try:
            confusion = np.array(document["confusion"], np.int64)
            scores = Scores.from_confusion(confusion, settings.task.names)
            history = files.read_rounds()
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise RunError(
                f"The result in {folder} is damaged ({error}).", "Make the run again."
            ) from error
        return cls(
            settings,
            scores,
            confusion,
            history,
            load_weights(files.model, architecture),
            architecture,
            load_calibration(files.model),
            load_voice(files.voice, settings.task) if files.voice.exists() else None,
            document,
        )


def simulate(
    *,
    strategy: str | type[Strategy] | None = None,
    partition: str | Path | Partition | None = None,
    codec: str | Codec | type[Codec] | None = None,
    out: str | Path | None = None,
    progress: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    **settings: Any,
) -> SimulationResult:
    """Run a federation, or its baseline, in this process, as ``edge-client simulate`` does.

    Features of clips are computed in several processes, which import the script they are started
    from: call it under ``if __name__ == "__main__":``.

    Parameters
    ----------
    strategy
        How updates are combined: a name, or a class of one's own. Its options are settings.
    partition
        How the training examples are divided over clients: a name, a CSV file, or a function of
        one's own.
    codec
        How clients encode their updates: a name, or a codec of one's own.
    out
        Folder for the model, the scores and the pictures, as the command leaves them. Without one,
        nothing is left on the disk but features in the cache.
    progress
        Whether to show on standard error how it is going, and which clips were skipped.
    resume, overwrite
        Go on with the run that is in ``out``, or replace it.
    **settings
        Any setting of the command, by its name with underscores: ``corpus``, ``data``, ``rounds``,
        ``clients``, ``model``, ``engine``, ``seed``, ... (:class:`.settings.SimulationSettings`).
        Neither the environment nor a file is asked.

    Returns
    -------
    SimulationResult
        Plain arrays.

    Raises
    ------
    ChorusError
        What the command would print, and exit with ``error.exit_code``: about settings, the
        corpus, the folder, the training.
    Stopped
        After Ctrl-C during the rounds; a :class:`~shared.errors.ChorusError`, too. A run with a
        folder goes on with ``resume=True``.
    """
    chosen = {
        "strategy": strategy if strategy is None else _named(STRATEGIES, strategy),
        "partition": partition if partition is None else _named(PARTITIONS, partition),
        "codec": codec if codec is None else _named(CODECS, codec),
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    checked = SimulationSettings.parse({**given, **settings})
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(TemporaryDirectory(prefix="chorus-")) if out is None else out
        )
        try:
            execute(
                [Planned(folder, checked)],
                progress_console(quiet=not progress),
                resume=resume,
                overwrite=overwrite,
            )
        except Stopped:
            if out is not None:
                raise
            raise Stopped("Stopped; nothing is kept.", "Name a folder (out) to go on.") from None
        return SimulationResult.read(folder)


def _named(registry: Registry[Any], thing: Any) -> str:
    """Give the name that a setting finds something by; what is no name is put there first."""
    if isinstance(thing, str | Path):
        return str(thing)
    name = str(getattr(thing, "name", getattr(thing, "__name__", type(thing).__name__)))
    try:
        registry.put(name, thing)
    except TypeError as error:
        raise SettingsError(f"{name} is not a valid {registry.kind}: {error}.") from error
    return name

"""Recognising clips in a program of one's own, as a device recognises utterances."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_client.device.model import Model
from edge_client.device.settings import UNSURE_BELOW
from shared.audio import to_utterance
from shared.errors import SettingsError
from shared.features.expression import MOST
from shared.features.prior import load_prior
from shared.features.statistics import Start, Statistics, expression_of, no_statistics
from shared.features.voice import VoiceModel
from shared.features.voice_file import load_voice
from shared.front_ends import front_end_of
from shared.front_ends.clips import clip_features
from shared.starter import beside
from shared.task import Task

if TYPE_CHECKING:
    from shared.frames import Frames


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a model makes of a clip.

    Attributes
    ----------
    label
        The most probable label.
    probabilities
        Of each label of the model's task, by its name, in the task's order; they sum to 1.
    unsure
        Whether that of ``label`` is below the recogniser's ``unsure_below``.
    """

    label: str
    probabilities: dict[str, float]
    unsure: bool


class Recogniser:
    """Recognises clips with a model, for one thread at a time.

    Parameters
    ----------
    model
        A ``model.safetensors``: of a simulation, an aggregator or a device, whatever its task.
    normalisation
        As the model was trained; the file does not say it, but for what lies beside it.

        ``device`` (the default of simulations and devices)
            By the mean and deviation of every feature over all that this recogniser has heard, the
            clip itself among it. The first clips have little to be compared with: while less than
            a second was heard, features stay as they are, and the first clip is compared with
            itself alone. So a clip that comes first is recognised worse, and otherwise than the
            same clip later. Use a recogniser for each speaker, and let it hear a few clips, of
            several labels, before you count on it.
        ``voice``
            The same, but the voice is told from the mood, by a voice model.
        ``none``
            Not at all: each clip is recognised for itself.

        If it is not given: ``voice`` where a voice model is given or lies beside the model, else
        ``device``.
    voice
        The voice model's file; if not given, the one that lies beside the model
        (``model.voice.safetensors``).
    prior
        What the statistics of ``device`` begin with; if not given, what lies beside the model
        (``model.prior.safetensors``), if anything does.
    unsure_below
        Answers of a lower probability are unsure.

    Attributes
    ----------
    task
        What the model recognises: ``task.names`` are its labels.
    calibration
        What probabilities are worth, if it was measured: ``calibration.reliability.below(0.5)``
        counts the answers below 0.5 to people whom the model had not heard, and how many of them
        were wrong. ``calibration.reliability`` is ``None`` if it was not.

    Raises
    ------
    WeightsError
        If there is no such file, or it holds no model.
    SettingsError
        If the task's front end is not installed, or there is no such normalisation.
    MissingPartError
        If no TFLite runtime is installed.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        normalisation: Literal["none", "device", "voice"] | None = None,
        voice: str | Path | None = None,
        prior: str | Path | None = None,
        unsure_below: float = UNSURE_BELOW,
    ) -> None:
        if normalisation not in (None, "none", "device", "voice"):
            raise SettingsError(
                f"There is no normalisation {normalisation!r}.", "There are none, device and voice."
            )
        self._model = Model.load(Path(model))
        self._unsure_below = unsure_below
        self.calibration = self._model.notes.calibration
        self.task = self._model.architecture.task
        self._front_end = front_end_of(self.task.front_end)
        begun = _begun(Path(model), self.task, normalisation, voice=voice, prior=prior)
        self._statistics: Statistics | None = None
        if normalisation != "none":
            self._statistics = no_statistics(self._front_end, begun)
        told = isinstance(begun, VoiceModel) and begun.expressions is not None
        self._said: deque[Frames] | None = deque(maxlen=MOST) if told else None

    def recognise(
        self, clip: str | Path | tuple[NDArray[Any] | Sequence[float], float]
    ) -> Recognised:
        """Recognise a clip, taken for one utterance.

        Of a clip that is longer than the front end's frames, which are 10 s in ours, the beginning
        counts.

        Parameters
        ----------
        clip
            An audio file; or samples and their rate in Hz, as ``soundfile.read`` gives them: shape
            ``(samples,)`` or ``(samples, channels)``, floating point with full scale at 1, or
            integers.

        Raises
        ------
        AudioError
            If there is no such file, it cannot be read, or it is too short.
        WeightsError
            If what the model computes is not finite.
        """
        if isinstance(clip, str | Path):
            frames = clip_features(Path(clip), self._front_end)
        else:
            samples, rate = clip
            frames = self._front_end.compute(to_utterance(np.asarray(samples), rate))
        expression = None
        if self._statistics is not None:
            if self._said:
                expression = expression_of(self._statistics, np.array(self._said, np.float32))
            self._statistics.update(frames)
        found = self._model.recognise(frames, self._statistics, expression)
        if self._said is not None:
            self._said.append(frames)
        probabilities = dict(zip(self.task.names, found, strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        return Recognised(label, probabilities, probabilities[label] < self._unsure_below)


def _begun(
    model: Path,
    task: Task,
    normalisation: str | None,
    *,
    voice: str | Path | None,
    prior: str | Path | None,
) -> Start | None:
    """Read what statistics begin with: what was given, or what lies beside the model.

    Raises
    ------
    SettingsError
        If what was given does not go with the normalisation, or a voice model is missing.
    WeightsError
        If a file cannot be used.
    """
    if (voice and prior) or (voice and normalisation not in (None, "voice")):
        raise SettingsError(f"{voice} is a voice model: it is for normalisation voice alone.")
    if prior and normalisation not in (None, "device"):
        raise SettingsError(f"{prior} is for normalisation device, not {normalisation}.")
    if normalisation == "none":
        return None
    told = Path(voice) if voice else beside(model, "voice")
    if voice or normalisation == "voice" or (not (prior or normalisation) and told.exists()):
        if not told.exists():
            raise SettingsError(
                f"Normalisation voice needs a voice model; there is no {told}.", "Name it: voice."
            )
        return load_voice(told, task)
    begins = Path(prior) if prior else beside(model, "prior")
    return load_prior(begins, task) if prior or begins.exists() else None

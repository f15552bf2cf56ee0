"""What a device recognises with: the global model, the personal one, and running statistics."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_client.device.events import Audience, DeviceEvent
from edge_client.device.model import Model
from edge_client.device.normalised import keeping_normalisation, settle_normalisation
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.learning.personal_model import PersonalModel
from shared.architectures import Architecture
from shared.errors import WeightsError
from shared.features.expression import Expression, Kept
from shared.features.prior import load_prior
from shared.features.start_file import load_start
from shared.features.statistics import (
    Start,
    Statistics,
    expression_of,
    is_same,
    knowing,
    no_statistics,
)
from shared.features.voice import VoiceModel
from shared.features.voice_file import load_voice
from shared.frames import Frames
from shared.front_ends import front_end_of
from shared.model_notes.model_card import NOT_SPEECH
from shared.starter import STARTER, STARTER_TASK
from shared.storage.files import copy_atomically
from shared.training import Examples
from shared.weights import another_task


class Recognising:
    """A device's models and statistics; all methods may be called from any thread.

    Parameters
    ----------
    state
        Where the global model is kept.
    settings
        What to begin with, and how to normalise.
    audience
        Is told that the device's status has changed.

    Attributes
    ----------
    left_aside
        Why the model of earlier days is not used, if so: it is damaged, or of another task.
    begun
        What statistics begin with: a voice model, a prior, or nothing.

    Raises
    ------
    WeightsError
        If the model to begin with, or the voice model, cannot be used.
    SettingsError
        If the task's front end is not here.
    """

    def __init__(self, state: DeviceFolder, settings: DeviceSettings, audience: Audience) -> None:
        self._state = state
        self._task = settings.task
        self._normalises = settings.normalisation != "none"
        self._unsure_below = settings.unsure_below
        self._audience = audience
        self._lock = threading.RLock()
        self._front_end = front_end_of(self._task.front_end)
        self.begun: Start | None = None
        if settings.voice:
            self.begun = load_voice(settings.voice, self._task)
        elif settings.prior:
            self.begun = load_prior(settings.prior, self._task)
        settle_normalisation(self._state.model)  # whose file may just have been read
        self._model, self.left_aside = self._first_model(settings)
        self._statistics = no_statistics(self._front_end, self.begun)
        self._expression: Expression | None = None
        self._generation = 0

    def _first_model(self, settings: DeviceSettings) -> tuple[Model | None, str | None]:
        """Load the given model, and keep it; or the kept one, or the starter.

        Returns
        -------
        Model or None
            If there is one that can be used.
        str or None
            Why the kept one is not used, if so.
        """
        if settings.weights:
            return self._given(settings.weights), None
        if not self._state.model.exists():
            return self._starter(settings), None
        try:
            model = Model.load(self._state.model)
        except WeightsError as damage:
            aside, wanted = damage.problem, "another model"
        else:
            task = model.architecture.task
            error = another_task(task, self._task, str(self._state.model))
            if error is None:
                return model, None
            aside, wanted = error.problem, "one of its own task"
        starter = self._starter(settings)
        does = "recognises with the starter of the package" if starter else f"waits for {wanted}"
        return starter, f"{aside} This device {does}."

    def _given(self, path: Path) -> Model:
        """Load the model that the device is given, and keep it with what statistics begin with."""
        model = Model.load(path)
        if error := another_task(model.architecture.task, self._task, str(path)):
            raise error
        with self._keeping(model.digest, self.begun, normalises=self._normalises):
            copy_atomically(path, self._state.model)
        return model

    def _keeping(
        self, digest: str, begun: Start | None, *, normalises: bool
    ) -> AbstractContextManager[None]:
        return keeping_normalisation(
            self._state.model, digest, self._task, begun, normalises=normalises
        )

    def _starter(self, settings: DeviceSettings) -> Model | None:
        """Load the starter, if it is asked for and of this task; it is not copied."""
        if not settings.starter or STARTER_TASK.difference(self._task):
            return None
        return Model.load(STARTER)

    @property
    def digest(self) -> str | None:
        """Digest of the global model; ``None`` if there is none yet."""
        model = self._model
        return model.digest if model else None

    @property
    def remark(self) -> str | None:
        """What its person should know of the global model; ``None`` if nothing."""
        model = self._model
        return NOT_SPEECH if model and model.notes.card and model.notes.card.is_synthetic else None

    @property
    def generation(self) -> int:
        """How often everything was deleted: what was learned before must not be used after."""
        return self._generation

    def begin(self, statistics: Statistics) -> None:
        """Go on with the statistics of earlier days."""
        with self._lock:
            self._statistics = statistics

    @property
    def normalisation(self) -> Literal["none", "device", "voice"]:
        """How features are normalised."""
        with self._lock:
            if not self._normalises:
                return "none"
            return "voice" if isinstance(self.begun, VoiceModel) else "device"

    @property
    def gets_to_know(self) -> bool:
        """Whether it goes by what it has heard: there is a model, and features are normalised."""
        return self._model is not None and self._normalises

    @property
    def tells_expressions(self) -> bool:
        """Whether it infers how the person shows emotions from what they have said."""
        begun = self.begun
        return isinstance(begun, VoiceModel) and begun.expressions is not None

    def look_back(self, kept: Callable[[], Kept | None]) -> None:
        """Infer how the person shows emotions: answers go by it until this is done again.

        It takes longer than an answer, so it is done after one.

        Parameters
        ----------
        kept
            Reads what is kept of what the person has said; ``None`` if nothing is inferred.
        """
        with self._lock:
            if (found := kept()) is None:
                self._expression = None
                return
            statistics: Statistics = self._statistics
            if self._model is not None and self._model.personal is not None:
                statistics = knowing(statistics, self._model.personal.told)
            self._expression = expression_of(statistics, *found)

    def recognise(self, frames: Frames, *, known: bool = False) -> tuple[float, ...] | None:
        """Recognise an utterance, which the statistics take in; ``None`` if there is no model.

        Parameters
        ----------
        frames
            Shape ``(n, features)``, as the task's front end computed them.
        known
            Whether the statistics have taken it in before.

        Raises
        ------
        WeightsError
            If what the model computes is not finite.
        """
        with self._lock:
            if not known:
                self._statistics.update(frames)
            if self._model is None:
                return None
            statistics = self._statistics if self._normalises else None
            return self._model.recognise(frames, statistics, self._expression)

    def statistics(self) -> dict[str, Any]:
        """Give the running statistics, as JSON takes them."""
        with self._lock:
            return self._statistics.to_dict()

    def normalising(self) -> Statistics | None:
        """Give a copy of what features are normalised by; ``None`` if they are not."""
        with self._lock:  # a copy, so that hearing need not wait
            return copy(self._statistics) if self._normalises else None

    def use_model(
        self, file: Path, digest: str, architecture: Architecture, begun: Path | None = None
    ) -> bool:
        """Take a new global model from a file, which is copied as it is.

        Parameters
        ----------
        file
            A safetensors file.
        digest
            Its SHA-256, in hexadecimal.
        architecture
            What its weights must belong to.
        begun
            The file of what statistics begin with beside it, which is kept with it; as they began
            before, if not given.

        Returns
        -------
        bool
            Whether the statistics begin otherwise now, having heard nothing: :meth:`begin` gives
            them what was heard.

        Raises
        ------
        WeightsError
            If it is missing, another file, of another task, or holds no such weights; or what
            statistics begin with cannot be used.
        """
        self._check_task(architecture)
        start, normalises = self.begun, self._normalises
        if begun:
            start, normalises = load_start(begun, self._task), True
        with self._keeping(digest, start, normalises=normalises):
            model = Model.copy(self._state.model, file, digest, architecture)
        with self._lock:
            changed = not (normalises == self._normalises and is_same(start, self.begun))
            if changed:
                self.begun, self._normalises = start, normalises
                self._statistics = no_statistics(self._front_end, start)
                self._expression = None
            self._use(model)
        return changed

    def _check_task(self, architecture: Architecture) -> None:
        if error := another_task(architecture.task, self._task, "The new model"):
            raise error

    def _use(self, model: Model) -> None:
        with self._lock:
            self._model = model
        self._audience.tell(DeviceEvent("status"))

    def logits(self, examples: Examples) -> tuple[NDArray[np.float32], str, float | None] | None:
        """Compute the global model's logits of examples, one by one: hearing goes in between.

        Returns
        -------
        (numpy.ndarray, str, float or None) or None
            Shape ``(n, labels)``, doubted as the model asks; the model's digest, and its
            temperature, if it was measured. ``None`` if there is no model that can be used, or
            another came meanwhile.
        """
        model = self._model
        if model is None:
            return None
        found = np.zeros((len(examples), len(self._task.labels)), np.float32)
        utterances = zip(found, examples.features, examples.frames, strict=True)
        for row, features, frames in utterances:
            with self._lock:
                row[:] = model.logits(features, int(frames))
        if self._model is not model or not np.isfinite(found).all():
            return None
        calibration = model.notes.calibration
        doubted = calibration.doubted(found, examples.doubts)
        return doubted, model.digest, calibration.temperature

    def use_personal(self, personal: PersonalModel | None, digest: str, generation: int) -> bool:
        """Recognise with a personal model, until ``None`` or a new global model comes.

        Parameters
        ----------
        personal
            What was learned from the person's examples.
        digest
            Of the global model that it corrects.
        generation
            :attr:`generation` before the examples were read.

        Returns
        -------
        bool
            Whether these are still the global model and the generation; else nothing has changed.
        """
        with self._lock:
            old = generation != self._generation
            if old or self._model is None or self._model.digest != digest:
                return False
            self._model.personal = personal
        self._audience.tell(DeviceEvent("status"))
        return True

    def forget(self) -> None:
        """Let go of what came from the person: the personal model and the statistics."""
        with self._lock:
            self._generation += 1
            self._statistics = no_statistics(self._front_end, self.begun)
            self._expression = None
            if self._model:
                self._model.personal = None

    def status(self) -> dict[str, Any]:
        """Give the parts ``model``, ``card`` and ``training`` of :meth:`Device.status`.

        The model's ``architecture``, ``digest``, whether it is ``personal``, and ``unsure``; of its
        card ``taught_by`` and ``reached``; of training how many ``examples`` the personal model was
        made of. ``None`` where there is none. ``unsure`` says ``below`` which probability its
        answers are called unsure, how many such ``answers`` were seen when it was calibrated, and
        how many of them were ``wrong`` (in tenths of probability; both ``None`` where it was not
        measured).
        """
        with self._lock:
            model, personal = self._model, self._model and self._model.personal
            return {
                "model": model and model.facts() | {"unsure": self._unsure(model)},
                "card": model.notes.card.model_dump() if model and model.notes.card else None,
                "training": {"examples": len(personal.voices)} if personal else None,
            }

    def _unsure(self, model: Model) -> dict[str, float | None]:
        answers = wrong = None
        if measured := model.notes.calibration.reliability:
            answers, wrong = measured.below(self._unsure_below)
        return {"below": self._unsure_below, "answers": answers, "wrong": wrong}

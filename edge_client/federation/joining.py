"""Taking part in a federation from a program of one's own."""

import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edge_client.device.state import DeviceFolder
from edge_client.federation.client_state import remembered
from edge_client.federation.own_clips import CACHE, OwnClips
from edge_client.federation.participant import Participant
from edge_client.federation.settings import FederationSettings
from edge_client.federation.taking_part import as_member, make_engines
from shared.corpora.corpus import AudioFile, Clip
from shared.corpora.labels import label_of
from shared.corpora.manifest import UNKNOWN
from shared.errors import CorpusError, WeightsError
from shared.features.start_file import kind_of, replacing_model
from shared.front_ends import WHISPER
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.messages import Announcement
from shared.task import Task
from shared.training import Examples

LabelledClip = tuple[str | Path, str]
"""An audio file, and what label it has."""


@dataclass(frozen=True, slots=True)
class GlobalModel:
    """A model of the federation, which this client has just fetched.

    Attributes
    ----------
    path
        Its file, which :class:`~edge_client.recogniser.Recogniser` reads: ``model.safetensors`` in
        the part's folder, as long as no newer one is there. What statistics begin with lies beside
        it, if the federation hands that out.
    rounds
        How many rounds have made it.
    final
        Whether the federation's last round is over.
    """

    path: Path
    rounds: int
    final: bool


@dataclass(frozen=True, slots=True)
class _AsGiven:
    """Examples that a program has normalised itself."""

    examples: Examples

    def begin(self, _: Path | None) -> None:
        """Leave them as they are, whatever statistics begin with."""


class Participation:
    """A part in a federation, in a thread of its own, from now until it ends.

    Leaving its ``with`` block stops it.

    Parameters
    ----------
    participant
        Takes part.
    folder
        Where the part is kept.
    held
        Closed when it has ended.
    """

    def __init__(self, participant: Participant, folder: Path, held: ExitStack) -> None:
        self._participant = participant
        self._folder = folder
        self._held = held
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="federation", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Let it end soon, in good order; may be called from any thread.

        A finished update that could not be sent yet is kept, for the next time.
        """
        self._participant.stop()

    def wait(self) -> int:
        """Wait until it ends: because of its settings, :meth:`stop`, or Ctrl-C, which stops it.

        Returns
        -------
        int
            How many updates of this client have counted, those of earlier times among them.

        Raises
        ------
        BrokerError
            If the broker does not let this client in.
        Exception
            What the program's own function raised when it was told of a model.
        """
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self.stop()
            self._thread.join()
        if self._error is not None:
            raise self._error
        accepted: int = remembered(self._folder)["accepted"]
        return accepted

    def _run(self) -> None:
        with self._held:
            try:
                self._participant.run()
            except BaseException as error:  # noqa: BLE001 -- raised in the thread that waits
                self._error = error


def take_part(
    examples: Examples | Sequence[LabelledClip],
    *,
    folder: str | Path,
    federation: str = "chorus",
    client: str | None = None,
    broker: str | BrokerSettings | None = None,
    on_model: Callable[[GlobalModel], object] | None = None,
    until_final: bool = False,
    **settings: Any,
) -> Participation:
    """Take part in a federation, as ``edge-client run --clips DIR`` does.

    It begins at once, in a thread of its own: ``take_part(...).wait()`` waits for its end. What it
    does, and what it waits for, goes to the log (``logging.basicConfig(level="INFO")`` shows it).

    Parameters
    ----------
    examples
        What to train on. Clips with their labels are normalised by the statistics of all of them,
        as a device's own are, which begin as the federation says, and one that cannot be read is
        left out; features are taken as they are (:class:`~shared.training.Examples`: features,
        frames, labels).
    folder
        Where the part is kept, so that the same call goes on with it after any end: a state folder
        as that of ``edge-client run``, and of ``edge-client status --state``.
    federation
        The federation's name.
    client
        This client's name in it; made from the host's name if not given.
    broker
        ``HOST`` or ``HOST:PORT``, or all about it; this machine if not given.
    on_model
        Called with each new global model, in another thread. One that a newer one has replaced
        before its turn came is left out.
    until_final
        Whether to end when the federation's last model is there; else further rounds are waited
        for.
    **settings
        Any other setting of the part, by its name with underscores: ``labels``, ``front_end``
        (``whisper-speech`` for clips, ``paper34`` for features, if not given), ``holdout``,
        ``threads``, ``leave_after``, ``terms``, ...
        (:class:`~edge_client.federation.settings.FederationSettings`). Neither the environment nor
        a file is asked.

    Raises
    ------
    SettingsError
        If a setting is unknown or out of range.
    CorpusError
        If no clip can be used, or one has a label that is not the task's.
    TrainingError
        If the examples cannot be trained on.
    RunError
        If another part is being taken with this folder.
    StorageError
        If the folder cannot be written.
    """
    where = {"host": broker} if isinstance(broker, str) else broker
    given = {"federation": federation, "client": client, "broker": where, **settings}
    if not isinstance(examples, Examples):
        given.setdefault("front_end", WHISPER.name)  # as `edge-client run --clips DIR` does
    parsed = FederationSettings.parse({n: v for n, v in given.items() if v is not None})
    own: OwnClips | _AsGiven
    if isinstance(examples, Examples):
        own, clips = _AsGiven(examples), []
        own.examples.check(parsed.task)
    else:
        clips = _clips(examples, parsed.task)
    state = DeviceFolder(Path(folder))
    parsed, membership = as_member(parsed, state)
    part = state.federations / parsed.federation

    def told(path: Path, announcement: Announcement, start: Path | None) -> None:
        final = announcement.state == "finished"
        with replacing_model(state.model, kind_of(start) if start else None) as (model, begun):
            _copy(path, model)
            if start:
                _copy(start, begun)
        own.begin(start)
        if on_model is not None:
            on_model(GlobalModel(state.model, announcement.round - (not final), final))
        if final and until_final:
            participant.stop()

    with ExitStack() as stack:
        stack.enter_context(state.taken())
        if not isinstance(examples, Examples):
            own = OwnClips(clips, parsed.task, part / CACHE)
        participant = Participant(
            parsed,
            part,
            examples=lambda: own.examples,
            keys=own.examples.numbers.tolist,
            engines=make_engines(parsed.threads, parsed.task),
            on_model=told,
            membership=membership,
        )
        return Participation(participant, part, stack.pop_all())


def _copy(source: Path, to: Path) -> None:
    """Keep a model where nobody removes it while the program reads it."""
    try:
        shutil.copyfile(source, to)
    except FileNotFoundError as error:
        raise WeightsError(f"{source} is gone: a newer model has replaced it.") from error


def _clips(named: Sequence[LabelledClip], task: Task) -> list[Clip]:
    """Make clips of files and what they are said to be."""
    clips = []
    for path, word in named:
        label = label_of(word, task)
        if label is None:
            raise CorpusError(
                f"The clip {path} has the label {word!r}, which is none of "
                f"{', '.join(task.names)}.",
                "Leave it out, or name all labels of the federation (labels).",
            )
        clips.append(Clip(str(path), AudioFile(Path(path)), label, word, UNKNOWN))
    return clips

"""Starts a device's part in a federation: with a folder of clips, or beside a listening device."""

import functools
import logging
import os
import shlex
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from edge_client.device.state import DeviceFolder
from edge_client.enrolment.membership import Membership, MembershipFolder
from edge_client.federation.client_state import remembered
from edge_client.federation.own_clips import CACHE, OwnClips
from edge_client.federation.participant import Participant
from edge_client.federation.round_work import MakeEngine
from edge_client.federation.settings import FederationSettings
from edge_client.learning.training import Engine
from shared.architectures import architecture_of
from shared.command import log_to_stderr
from shared.corpora import load_corpus
from shared.errors import ChorusError, SettingsError
from shared.features.start_file import load_start
from shared.front_ends import FRONT_ENDS
from shared.mqtt.backoff import Backoff
from shared.protocol.messages import Announcement
from shared.task import Task
from shared.weights import digest as weights_digest
from shared.weights import fresh_weights

if TYPE_CHECKING:
    from edge_client.device.device import Device, DeviceEvent

log = logging.getLogger(__name__)

_ENDED = "The device takes part in no federation until it is started again. %s"
"""The log's line where something that cannot go away by itself has ended the device's part."""

_FAILED: Final = "The device's part in the federation failed. It begins anew after a while."
"""The log's line, before a traceback, and the remark where a fault of the program has ended it."""

_PAUSE: Final = 60.0
"""Seconds, at most, before a part that failed by a fault of the program begins anew; longer and
longer, as it may fail again and again."""

_LONGEST_PAUSE: Final = 3600.0
"""Seconds that such a pause may become."""


def as_member(
    settings: FederationSettings, state: DeviceFolder
) -> tuple[FederationSettings, Membership | None]:
    """Give a device that has joined its name in the federation, and its membership.

    Raises
    ------
    SettingsError
        If the settings give it another name than it has joined with, or the account of a membership
        that it does not have, or its terms ask for a federation that it has joined.
    TrustError
        If what is kept of its membership cannot be used.
    """
    membership = Membership.find(state.memberships / settings.federation)
    if membership is None:
        _check_account(settings, state)
        if settings.terms.signed:
            raise SettingsError(
                f"This device has not joined the federation {settings.federation} by invitation, "
                "and its own terms (terms_signed) ask for that.",
                "Join it with a link of `aggregator invite NAME`, or change the terms.",
            )
        return settings, None
    name = membership.joined.name
    if settings.client not in (None, name):
        raise SettingsError(
            f"This device has joined the federation {settings.federation} as {name}, not as "
            f"{settings.client}.",
            "Leave out client, or give another --state.",
        )
    return settings.model_copy(update={"client": name}), membership


def _check_account(settings: FederationSettings, state: DeviceFolder) -> None:
    """Check that a device without a membership does not come with the account of one."""
    password = settings.broker.password_file
    if password is None:
        return
    place = MembershipFolder(password.absolute().parent)
    # What this user may not look into is none of this device's.
    if password.name == place.password.name and os.access(place.joined, os.F_OK):
        raise SettingsError(
            f"The settings name the account of a member of the federation {place.path.name}, and "
            f"{state.path} keeps no membership in the federation {settings.federation}.",
            f"Give --state {shlex.quote(str(place.path.parent.parent))} and --federation "
            f"{place.path.name}, or join anew (`aggregator invite NAME --again`).",
        )


def take_part_with_clips(
    settings: FederationSettings,
    clips: Path,
    folder: Path,
    *,
    membership: Membership | None = None,
    follows: bool = False,
    begun: Path | None = None,
    as_told: bool = True,
    make: Callable[..., Participant] = Participant,
) -> None:
    """Take part with clips that are labelled already, until stopped.

    Parameters
    ----------
    settings
        Which federation, and how.
    clips
        A folder with a folder of clips for each label, or a manifest's CSV file.
    folder
        Where its part is kept, and the features of the clips.
    membership
        What it signs with, if it has joined by invitation.
    follows
        Whether it takes the federation's front end, if that is another than in the settings.
    begun
        The file of what the clips' statistics begin with, until the federation says it.
    as_told
        Whether they begin as the federation says, if it does.
    make
        Makes the participant.

    Raises
    ------
    CorpusError
        If there are no such clips.
    WeightsError
        If what their statistics begin with cannot be used.
    BrokerError
        If the broker does not let this device in.
    """
    log_to_stderr()
    make_part = functools.partial(make, membership=membership)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def read(task: Task) -> OwnClips:
        log.info("Reading the clips in %s ...", clips)
        labelled = load_corpus("manifest", clips, task).labelled
        start = load_start(begun, task) if begun else None
        return OwnClips(labelled, task, folder / CACHE, start, as_told=as_told)

    chosen: FederationSettings | None = settings
    while chosen is not None:
        chosen = _take_part_once(chosen, read, folder, follows, make_part)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
    found = remembered(folder)
    log.info(
        "Stopped; accepted updates of this device: %d%s. The same command goes on from here.",
        found["accepted"],
        ", one is finished and waits to be sent" if found["waiting"] else "",
    )


def _take_part_once(
    settings: FederationSettings,
    read: Callable[[Task], OwnClips],
    folder: Path,
    follows: bool,  # noqa: FBT001 -- its caller's own
    make: Callable[..., Participant],
) -> FederationSettings | None:
    """Take part until stopped, or until the federation is found to have another front end.

    Returns
    -------
    FederationSettings or None
        With the federation's front end, where that is to be followed; ``None`` if stopped.
    """
    own = read(settings.task)
    log.info(
        "%d labelled clips; this device is %s in the federation %s.",
        len(own.examples),
        settings.name,
        settings.federation,
    )
    followed: list[FederationSettings] = []

    def follow(task: Task) -> bool:
        other = settings.model_copy(update={"front_end": task.front_end.name})
        if not (follows and FRONT_ENDS.has(task.front_end.name)) or other.task.difference(task):
            return False
        log.info("The federation hears through %s: so does this device.", task.front_end)
        followed.append(other)
        return True

    def use(path: Path, announcement: Announcement, begun: Path | None = None) -> None:
        own.begin(begun)
        if announcement.state == "finished":
            log.info(
                "Round %d was the last; the model is in %s. This device waits for further rounds; "
                "Ctrl-C ends it.",
                announcement.round,
                path,
            )

    participant = make(
        settings,
        folder,
        examples=lambda: own.examples,
        keys=own.examples.numbers.tolist,
        engines=make_engines(settings.threads, settings.task),
        on_model=use,
        follow=follow,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: participant.stop())
    participant.run()
    return followed[-1] if followed else None


class Companion:
    """A listening device's part in a federation, in a thread of its own.

    Parameters
    ----------
    device
        What hears, and keeps examples.
    settings
        Which federation, and how.
    folder
        Where its part is kept.
    membership
        What it signs with, if it has joined by invitation.
    as_told
        Whether the device's statistics begin as the federation says, if it does.
    make
        Makes the participant.
    """

    def __init__(
        self,
        device: "Device",
        settings: FederationSettings,
        folder: Path,
        *,
        membership: Membership | None = None,
        as_told: bool = True,
        make: Callable[..., Participant] = Participant,
    ) -> None:
        self._device = device
        self._membership = membership
        self._as_told = as_told
        self._make = make
        self._settings = settings
        self._folder = folder
        self._leaving = threading.Event()
        self._begin()
        self._unsubscribe = device.subscribe(self._changed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take leave of the federation."""
        self._unsubscribe()
        self._leave()

    def _begin(self) -> None:
        self._leaving.clear()
        self._participant = participant = self._new_participant()
        self._thread = threading.Thread(
            target=self._run, args=(participant.run,), name="federation", daemon=True
        )
        self._thread.start()

    def _new_participant(self) -> Participant:
        return self._make(
            self._settings,
            self._folder,
            examples=self._device.examples,
            keys=self._device.example_keys,
            engines=make_engines(self._settings.threads, self._settings.task),
            on_model=self._use,
            report=functools.partial(self._device.report, "round"),
            membership=self._membership,
        )

    def _leave(self) -> None:
        self._leaving.set()
        self._participant.stop()
        self._thread.join()

    def _run(self, take_part: Callable[[], None]) -> None:
        """Take part, and anew after a fault of the program, which may be gone by then."""
        pauses = Backoff(_PAUSE, _LONGEST_PAUSE)
        while self._fails(take_part) and not self._leaving.wait(pauses.next()):
            take_part = self._take_part_anew

    def _take_part_anew(self) -> None:
        self._participant = participant = self._new_participant()
        # Who leaves may have stopped the one before.
        if not self._leaving.is_set():
            participant.run()

    def _fails(self, take_part: Callable[[], None]) -> bool:
        """Take part until that ends; say if a fault of the program ended it.

        Whatever it was, the device goes on listening.
        """
        try:
            take_part()
        except ChorusError as error:
            sentence = error.message
            log.error(_ENDED, sentence)  # noqa: TRY400 -- a user's to fix
            self._device.report("round", {"state": "left", "remark": sentence})
        except Exception:
            log.exception(_FAILED)
            remark = f"{_FAILED} The log says more."
            self._device.report("round", {"state": "troubled", "remark": remark})
            return True
        return False

    def _changed(self, event: "DeviceEvent") -> None:
        match event.kind:
            case "deleting":
                # All that it keeps is about to be deleted, and it must not write it anew.
                self._leave()
            case "deleted":
                self._begin()
            case "changed":
                self._participant.examples_changed()

    def _use(self, file: Path, announcement: Announcement, begun: Path | None = None) -> None:
        """Recognise with a new global model from now on, under the name it is announced by.

        One that nobody has taught anything takes no other's place.
        """
        digest = (announcement.averaged or announcement.model).digest
        architecture = architecture_of(announcement.architecture, self._settings.task)
        untaught = weights_digest(fresh_weights(architecture, announcement.seed), architecture)
        if digest == untaught and self._device.recognising.digest is not None:
            self._device.say(
                "untaught",
                f"The federation {announcement.federation} begins with random weights: this device "
                "goes on with the model it has until a round has made another one.",
            )
            return
        self._device.say("untaught", None)
        self._device.use_model(file, digest, architecture, begun if self._as_told else None)


def make_engines(threads: int | None, task: Task) -> MakeEngine:
    """Make engines for a task when they are needed, one an architecture."""

    @functools.cache
    def engine(architecture: str) -> Engine:
        from edge_client.tflite.engine import TfliteEngine

        return TfliteEngine(architecture_of(architecture, task), threads=threads)

    return engine

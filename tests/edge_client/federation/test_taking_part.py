"""What starts a device's part: beside a listening device, or with clips."""

import logging
import shlex
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_client.device.events import DeviceEvent
from edge_client.device.state import DeviceFolder
from edge_client.federation.settings import FederationSettings
from edge_client.federation.taking_part import Companion, as_member, take_part_with_clips
from edge_client.federation.unannounced import Unannounced
from shared.architectures import architecture_of
from shared.errors import BrokerError, SettingsError
from shared.features.prior import Prior, save_prior
from shared.protocol.messages import File
from shared.task import DEFAULT_TASK
from shared.task_settings import TaskSettings
from shared.weights import digest, fresh_weights
from tests.brokers import BOUND, wait_until
from tests.edge_client.federation.announcements import announcement, model_of
from tests.loop_driver import LoopDriver
from tests.memberships import member

SETTINGS = FederationSettings.parse({"client": "kitchen"})


def test_settings_of_a_member_start_no_device_that_is_none(tmp_path: Path) -> None:
    state = DeviceFolder(tmp_path / "anna's")
    account = state.memberships / "chorus" / "password"
    member(tmp_path / "aggregator", account.parent, "kitchen")
    account.write_text("secret")
    for federation, folder in (("chorus", tmp_path / "other"), ("another", state.path)):
        broker = {"password_file": account}
        settings = FederationSettings.parse({"federation": federation, "broker": broker})
        with pytest.raises(SettingsError, match="name the account of a member") as caught:
            as_member(settings, DeviceFolder(folder))
        assert f"--state {shlex.quote(str(state.path))}" in caught.value.remedy
        assert "--federation chorus" in caught.value.remedy
        assert as_member(settings.model_copy(update={"federation": "chorus"}), state)[1]


def test_a_password_that_is_no_members_is_its_own_matter(tmp_path: Path) -> None:
    account = tmp_path / "password"
    account.write_text("secret")
    settings = FederationSettings.parse({"broker": {"password_file": account}})
    assert as_member(settings, DeviceFolder(tmp_path / "state")) == (settings, None)


class FakeDevice:
    """Stands in for a device: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.models: list[tuple[Path, str, str]] = []
        self.said: dict[str, str | None] = {}
        self.recognising = SimpleNamespace(digest="0" * 64)
        self.listener: Callable[[DeviceEvent], None] | None = None
        self.begun: Path | None = None

    def subscribe(self, listener: Callable[[DeviceEvent], None]) -> Callable[[], None]:
        self.listener = listener
        return self._unsubscribe

    def _unsubscribe(self) -> None:
        self.listener = None

    def report(self, part: str, facts: dict[str, Any]) -> None:
        self.told.append((part, facts))

    def say(self, about: str, sentence: str | None) -> None:
        self.said[about] = sentence

    def use_model(
        self, file: Path, digest: str, architecture: Any, begun: Path | None = None
    ) -> None:
        self.begun = begun
        self.models.append((file, digest, architecture.name))

    def examples(self) -> None:
        raise NotImplementedError

    def example_keys(self) -> list[int]:
        return []


class FakeParticipant:
    """Stands in for a participant: runs until it is stopped, or ends as it is told to."""

    def __init__(self, *_: object, error: BaseException | None = None, **given: Any) -> None:
        self.given = given
        self.error = error
        self.stopped = threading.Event()
        self.looked = 0

    def run(self) -> None:
        if self.error:
            raise self.error
        assert self.stopped.wait(BOUND)

    def stop(self) -> None:
        self.stopped.set()

    def examples_changed(self) -> None:
        self.looked += 1


class Makes:
    """Makes participants, and remembers them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.made: list[FakeParticipant] = []

    def __call__(self, *arguments: Any, **given: Any) -> Any:
        self.made.append(FakeParticipant(*arguments, error=self.error, **given))
        return self.made[-1]


def test_a_companion_hears_of_examples_and_is_gone_while_everything_is_deleted(
    tmp_path: Path,
) -> None:
    device, makes = FakeDevice(), Makes()
    with Companion(device, SETTINGS, tmp_path, make=makes):  # type: ignore[arg-type] # it stands in
        assert device.listener
        (first,) = makes.made
        device.listener(DeviceEvent("changed"))
        assert first.looked == 1
        device.listener(DeviceEvent("deleting"))
        assert first.stopped.is_set()
        device.listener(DeviceEvent("deleted"))
        _, second = makes.made
        assert not second.stopped.is_set()
    assert second.stopped.is_set()
    assert device.listener is None


def test_a_companion_uses_a_model_under_the_name_it_is_announced_by(tmp_path: Path) -> None:
    device, makes = FakeDevice(), Makes()
    model, averaged = model_of(tmp_path), model_of(tmp_path, 1.0)
    with Companion(device, SETTINGS, tmp_path, make=makes):  # type: ignore[arg-type] # it stands in
        use = makes.made[0].given["on_model"]
        use(tmp_path / "file", announcement(model))
        use(tmp_path / "file", announcement(model, averaged=averaged))
    assert device.models == [
        (tmp_path / "file", model.digest, architecture_of("conv", DEFAULT_TASK).name),
        (tmp_path / "file", averaged.digest, architecture_of("conv", DEFAULT_TASK).name),
    ]


@pytest.mark.parametrize("as_told", [True, False])
def test_statistics_begin_as_the_federation_says_unless_a_person_said_how(
    tmp_path: Path, *, as_told: bool
) -> None:
    device, makes = FakeDevice(), Makes()
    begun = tmp_path / "begun"
    with Companion(device, SETTINGS, tmp_path, as_told=as_told, make=makes):  # type: ignore[arg-type] # it stands in
        makes.made[0].given["on_model"](tmp_path / "file", announcement(model_of(tmp_path)), begun)
    assert device.begun == (begun if as_told else None)


def test_a_model_that_nobody_has_taught_takes_no_other_s_place(tmp_path: Path) -> None:
    device, makes = FakeDevice(), Makes()
    conv = architecture_of("conv", DEFAULT_TASK)
    fresh = File(digest=digest(fresh_weights(conv, 3), conv), size=8)
    taught = model_of(tmp_path)
    with Companion(device, SETTINGS, tmp_path, make=makes):  # type: ignore[arg-type] # it stands in
        use = makes.made[0].given["on_model"]
        use(tmp_path / "file", announcement(fresh))
        assert device.models == []
        assert "begins with random weights" in (device.said["untaught"] or "")
        use(tmp_path / "file", announcement(taught))
        assert [used for _, used, _ in device.models] == [taught.digest]
        assert device.said["untaught"] is None
        device.recognising.digest = None
        use(tmp_path / "file", announcement(fresh))
    assert len(device.models) == 2, "any model is better than none"


def test_what_a_person_has_to_put_right_ends_it_and_the_device_goes_on(tmp_path: Path) -> None:
    device, makes = FakeDevice(), Makes(BrokerError("It is not let in.", "Say who it is."))
    with Companion(device, SETTINGS, tmp_path, make=makes):  # type: ignore[arg-type] # it stands in
        wait_until(lambda: device.told, "it is told")
    remark = "It is not let in. Say who it is."
    assert device.told == [("round", {"state": "left", "remark": remark})]
    assert len(makes.made) == 1


def test_after_a_fault_of_the_program_it_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_client.federation.taking_part._PAUSE", 0.01)
    device, makes = FakeDevice(), Makes(KeyError("odd"))
    with Companion(device, SETTINGS, tmp_path, make=makes):  # type: ignore[arg-type] # it stands in
        wait_until(lambda: len(makes.made) >= 3, "it has begun anew twice")
        makes.error = None
        wait_until(lambda: makes.made[-1].error is None, "it goes well")
        assert device.listener
        device.listener(DeviceEvent("changed"))
        assert makes.made[-1].looked == 1
    assert makes.made[-1].stopped.is_set()
    sentence = "The device's part in the federation failed. It begins anew after a while."
    remark = f"{sentence} The log says more."
    assert device.told[:2] == [("round", {"state": "troubled", "remark": remark})] * 2
    assert "KeyError" in caplog.text


@pytest.mark.parametrize("how", ["closed", "deleting"])
def test_while_it_waits_to_begin_anew_it_ends_at_once(tmp_path: Path, how: str) -> None:
    device, makes = FakeDevice(), Makes(KeyError("odd"))
    with Companion(device, SETTINGS, tmp_path, make=makes):  # type: ignore[arg-type] # it stands in
        wait_until(lambda: device.told, "it waits")
        if how == "deleting":
            assert device.listener
            device.listener(DeviceEvent("deleting"))
            assert len(makes.made) == 1
            makes.error = None
            device.listener(DeviceEvent("deleted"))
    assert len(makes.made) == 1 + (how == "deleting")


def test_with_clips_a_signal_ends_it_and_it_says_what_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], clips: Path
) -> None:
    makes = Makes()

    def make(*arguments: Any, **given: Any) -> Any:
        participant = makes(*arguments, **given)
        participant.run = lambda: signal.raise_signal(signal.SIGTERM)
        return participant

    take_part_with_clips(SETTINGS, clips, tmp_path / "state", make=make)
    (participant,) = makes.made
    assert participant.stopped.is_set()
    assert len(participant.given["keys"]()) == len(participant.given["examples"]()) == 4
    said = capfd.readouterr().err
    assert "4 labelled clips; this device is kitchen in the federation chorus." in said
    assert "accepted updates of this device: 0." in said


def test_the_features_of_clips_are_where_a_deletion_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clips: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CHORUS_CACHE")
    state = DeviceFolder(tmp_path / "state")

    def make(*arguments: Any, **given: Any) -> Any:
        participant = Makes()(*arguments, **given)
        participant.run = lambda: signal.raise_signal(signal.SIGTERM)
        return participant

    with state.taken():
        take_part_with_clips(SETTINGS, clips, state.federations / "chorus", make=make)
        kept = list(tmp_path.rglob("*.sqlite"))
        assert [path.parent.parent for path in kept] == [state.federations / "chorus"]
        state.delete_everything()
    assert not list(tmp_path.rglob("*.sqlite*"))


WHISPER = SETTINGS.model_copy(update={"front_end": "whisper-speech"})


def test_clips_follow_a_federation_to_its_front_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], clips: Path
) -> None:
    makes = Makes()

    def make(settings: FederationSettings, *arguments: Any, **given: Any) -> Any:
        participant = makes(settings, *arguments, **given)
        follow = given["follow"]
        eight = TaskSettings.parse({"labels": "angry,happy,neutral,sad,calm"}).task
        if settings.task != DEFAULT_TASK:
            participant.run = lambda: answers.extend(map(follow, (eight, DEFAULT_TASK)))
        else:
            participant.run = lambda: None
        settings_of.append(settings)
        return participant

    answers: list[bool] = []
    settings_of: list[FederationSettings] = []
    take_part_with_clips(WHISPER, clips, tmp_path / "state", follows=True, make=make)
    assert answers == [False, True], "it has no clips of other labels"
    assert [settings.front_end for settings in settings_of] == ["whisper-speech", "paper34"]
    _, second = makes.made
    assert second.given["examples"]().features.shape[1:] == (100, 34)
    assert "The federation hears through paper34 1: so does this device." in capfd.readouterr().err


@pytest.mark.parametrize("as_told", [True, False])
def test_clips_are_normalised_as_the_federation_says_unless_a_person_said_how(
    tmp_path: Path, clips: Path, *, as_told: bool
) -> None:
    makes = Makes()
    prior = tmp_path / "prior.safetensors"
    save_prior(prior, Prior(np.full(34, 9.0), np.ones(34), 1000), DEFAULT_TASK)

    def make(*arguments: Any, **given: Any) -> Any:
        participant = makes(*arguments, **given)
        participant.run = lambda: None
        return participant

    take_part_with_clips(SETTINGS, clips, tmp_path / "state", as_told=as_told, make=make)
    take_part_with_clips(SETTINGS, clips, tmp_path / "own", begun=prior, make=make)
    announced, own = (participant.given for participant in makes.made)
    before = announced["examples"]().features
    announced["on_model"](tmp_path / "file", announcement(model_of(tmp_path)), prior)
    after, expected = announced["examples"]().features, own["examples"]().features
    assert not np.array_equal(before, expected)
    np.testing.assert_array_equal(after, expected if as_told else before)
    # A process that has begun since then would know of no prior.
    announced["on_model"](tmp_path / "file", announcement(model_of(tmp_path)), None)
    np.testing.assert_array_equal(announced["examples"]().features, before)


def test_clips_whose_front_end_was_chosen_follow_nobody(tmp_path: Path, clips: Path) -> None:
    makes = Makes()
    follows = []

    def make(*arguments: Any, **given: Any) -> Any:
        participant = makes(*arguments, **given)
        participant.run = lambda: follows.append(given["follow"](DEFAULT_TASK))
        return participant

    take_part_with_clips(WHISPER, clips, tmp_path / "state", make=make)
    assert follows == [False]
    assert len(makes.made) == 1


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import soundfile

    monkeypatch.setenv("CHORUS_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for emotion in ("angry", "happy", "neutral", "sad"):
        path = tmp_path / "clips" / emotion / "one.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, rng.standard_normal(16_000) / 10, 16_000)
    return tmp_path / "clips"


@pytest.mark.parametrize(
    ("report", "says"),
    [
        (None, True),
        ({"state": "waiting", "number": None}, True),
        ({"state": "away", "number": None}, False),
        ({"state": "waiting", "number": 3}, False),
        ({"state": "troubled", "number": None}, False),
    ],
)
def test_it_says_when_nobody_has_announced_a_round(
    report: dict[str, Any] | None, caplog: pytest.LogCaptureFixture, *, says: bool
) -> None:
    caplog.set_level(logging.INFO)
    driver = LoopDriver()
    unannounced = Unannounced("chorus", driver.loop)
    if report:
        unannounced.report(report)
    driver.after(9.0)
    assert "Nobody has announced" not in caplog.text
    driver.after(30.0)
    assert caplog.text.count("Nobody has announced a round of the federation chorus") == says

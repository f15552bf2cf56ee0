"""A program takes part in a federation: what it gives is checked, and what ends it is told."""

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import soundfile

from edge_client import Participation, take_part
from edge_client.device.state import DeviceFolder
from edge_client.federation.joining import _clips
from edge_client.federation.own_clips import OwnClips
from shared.audio import RATE
from shared.corpora import load_corpus
from shared.errors import (
    BrokerError,
    ChorusError,
    CorpusError,
    RunError,
    SettingsError,
    TrainingError,
)
from shared.features.prior import Prior, save_prior
from shared.features.start_file import start_beside
from shared.features.voice_file import save_voice
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.messages import File
from shared.task import DEFAULT_TASK
from tests.brokers import free_port
from tests.edge_client.device.heard import utterance
from tests.edge_client.federation.announcements import announcement
from tests.edge_client.federation.test_taking_part import FakeParticipant, Makes
from tests.edge_client.tiny import examples
from tests.shared.features.voice_models import voice_model

if TYPE_CHECKING:
    from edge_client.federation.participant import Participant

PORT = free_port()
"""Nobody listens there."""


def participation(folder: Path, participant: FakeParticipant) -> tuple[Participation, list[str]]:
    """Begin a part; note when what it holds is let go."""
    held, ended = ExitStack(), list[str]()
    held.callback(ended.append, "let go")
    return Participation(cast("Participant", participant), folder, held), ended


@pytest.fixture
def clips(tmp_path: Path) -> list[tuple[Path, str]]:
    found = []
    for number, label in enumerate(DEFAULT_TASK.names):
        path = tmp_path / "clips" / label / f"{number}.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, utterance(number).samples, RATE)
        found.append((path, label))
    return found


def test_clips_are_read_as_those_of_a_folder_are(
    clips: list[tuple[Path, str]], tmp_path: Path
) -> None:
    own = OwnClips(_clips(clips, DEFAULT_TASK), DEFAULT_TASK, tmp_path / "cache").examples
    folder = load_corpus("manifest", tmp_path / "clips")
    expected = OwnClips(folder.labelled, DEFAULT_TASK, tmp_path / "cache").examples
    assert np.array_equal(own.features, expected.features)
    assert own.labels.tolist() == expected.labels.tolist() == [0, 1, 2, 3]


def test_their_features_are_kept_in_the_folder_that_was_given(
    clips: list[tuple[Path, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHORUS_CACHE", str(tmp_path / "cache"))
    state = tmp_path / "state"
    with take_part(clips, folder=state, broker=f"127.0.0.1:{PORT}", front_end="paper34"):
        (kept,) = tmp_path.rglob("features.sqlite")
    assert kept.is_relative_to(DeviceFolder(state).personal)
    assert (state.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)


def test_words_of_corpora_name_labels(clips: list[tuple[Path, str]]) -> None:
    (clip,) = _clips([(clips[0][0], "Wut")], DEFAULT_TASK)
    assert clip.label == "angry"


@pytest.mark.parametrize(
    ("given", "settings", "error", "sentence"),
    [
        ([("a.wav", "bored")], {}, CorpusError, "The clip a.wav has the label 'bored'"),
        (
            [("a.wav", "sad")],
            {},
            CorpusError,
            "None of 1 clips can be used. The first: a.wav cannot be read",
        ),
        ([], {}, CorpusError, "None of 0 clips"),
        (examples(0), {}, TrainingError, "no examples"),
        (examples(8), {"front_end": "mfcc40"}, TrainingError, "features of shape"),
        (examples(8), {"labels": "yes,no"}, TrainingError, "outside 0 to 1"),
        (examples(8), {"colour": "red"}, SettingsError, "There is no setting colour"),
        (examples(8), {"holdout": 0.9}, SettingsError, "holdout = 0.9"),
        (examples(8), {"broker": "host:port"}, SettingsError, "broker"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path,
    given: Any,
    settings: dict[str, Any],
    error: type[ChorusError],
    sentence: str,
) -> None:
    with pytest.raises(error) as caught:
        take_part(given, folder=tmp_path / "state", **settings)
    assert sentence in caught.value.problem
    assert not list((tmp_path / "state").rglob("*.json")), "nothing was begun"


@pytest.mark.parametrize(
    "broker", [f"127.0.0.1:{PORT}", BrokerSettings(port=PORT)], ids=["text", "settings"]
)
def test_a_folder_is_one_parts_until_that_ends(
    tmp_path: Path, broker: str | BrokerSettings
) -> None:
    own = examples(8)
    with take_part(own, folder=tmp_path, broker=broker) as part:
        with pytest.raises(RunError, match="Another edge-client"):
            take_part(own, folder=tmp_path, broker=broker)
        part.stop()
        assert part.wait() == 0
    again = take_part(own, folder=tmp_path, broker=broker)
    again.stop()
    assert again.wait() == 0


def test_a_model_that_begins_with_nothing_leaves_no_earlier_voice_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_client.federation.joining.Participant", makes := Makes())
    model, voice = tmp_path / "global", tmp_path / "voice"
    save_voice(voice, voice_model(labels=4), DEFAULT_TASK)
    state = DeviceFolder(tmp_path / "state")
    with take_part(examples(8), folder=state.path, broker=f"127.0.0.1:{PORT}"):
        for content, start in ((b"first", voice), (b"second", None), (b"third", None)):
            model.write_bytes(content)
            makes.made[0].given["on_model"](
                model, announcement(File(digest="1" * 64, size=1)), start
            )
            assert state.model.read_bytes() == content
            assert (start_beside(state.model) is None) == (start is None)


def test_clips_are_normalised_as_the_model_in_the_folder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clips: list[tuple[Path, str]]
) -> None:
    monkeypatch.setattr("edge_client.federation.joining.Participant", makes := Makes())
    model, prior = tmp_path / "global", tmp_path / "prior"
    model.write_bytes(b"model")
    save_prior(prior, Prior(np.full(34, 9.0), np.ones(34), 1000), DEFAULT_TASK)
    state = DeviceFolder(tmp_path / "state")
    with take_part(clips, folder=state.path, broker=f"127.0.0.1:{PORT}", front_end="paper34"):
        given = makes.made[0].given
        first = given["examples"]().features
        for start in (prior, None, prior, None):
            given["on_model"](model, announcement(File(digest="1" * 64, size=1)), start)
            assert (start_beside(state.model) is None) == (start is None)
            assert np.array_equal(given["examples"]().features, first) == (start is None)


def test_it_ends_when_it_is_left(tmp_path: Path) -> None:
    participant = FakeParticipant()
    part, ended = participation(tmp_path, participant)
    with part:
        assert not participant.stopped.is_set()
    assert participant.stopped.is_set()
    assert ended == ["let go"]


@pytest.mark.parametrize("error", [BrokerError("It is not let in."), ZeroDivisionError("ours")])
def test_what_ends_it_is_raised_in_the_thread_that_waits(tmp_path: Path, error: Exception) -> None:
    part, ended = participation(tmp_path, FakeParticipant(error=error))
    with pytest.raises(type(error), match=str(error)):
        part.wait()
    assert ended == ["let go"]


def test_ctrl_c_ends_it_in_good_order(tmp_path: Path) -> None:
    class Interrupted:
        """The thread; Ctrl-C is pressed while it is first waited for."""

        def __init__(self, thread: threading.Thread) -> None:
            self.thread: threading.Thread | None = None
            self.first = thread

        def join(self) -> None:
            if self.thread is None:
                self.thread = self.first
                raise KeyboardInterrupt
            self.thread.join()

    participant = FakeParticipant()
    part, ended = participation(tmp_path, participant)
    part._thread = cast("threading.Thread", Interrupted(part._thread))
    assert part.wait() == 0
    assert participant.stopped.is_set()
    assert ended == ["let go"]

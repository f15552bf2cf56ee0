"""What a process that listens leaves behind and sends: no sound, and features in the store only."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge_client.device.store import ExampleStore
from edge_client.hearing.recording import Recording
from edge_client.hearing.segmentation import Segmenter
from shared.audio import RATE
from shared.features.normalisation import RunningStatistics
from shared.front_ends import FRONT_ENDS
from tests.brokers import Mosquitto
from tests.edge_client.words.recogniser import OwnRecogniser, transcript
from tests.end_to_end.conftest import EDGE_CLIENT
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.processes import Processes
from tests.end_to_end.listening import BOUND, model, recording

__all__ = ["model", "recording"]

PIECE = 64
"""Samples in a row that betray a sound: 4 ms, and 64 bytes of features."""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Make a home, a state and a temporary folder that only this process uses."""
    for name in ("home", "state", "tmp", "work"):
        (tmp_path / name).mkdir()
    return tmp_path


def listen(house: Path, recording: Path, model: Path, *more: str) -> list[str]:
    """Let a process hear the recording; give the files it had opened for writing."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
        "HOME": str(house / "home"),
        "TMPDIR": str(house / "tmp"),
        "XDG_STATE_HOME": str(house / "state"),
    }
    line = [str(EDGE_CLIENT), "run", "--wav", str(recording), "--fast", "--offline", "--headless"]
    trace = house.parent / f"{house.name}.trace"
    strace = shutil.which("strace")
    watched = ["strace", "-f", "-qq", "-e", "trace=openat,socket", "-o", str(trace)]
    done = subprocess.run(
        [*(watched if strace else []), *line, "--weights", str(model), *more],
        cwd=house / "work",
        env=environment,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 4
    return trace.read_text().splitlines() if strace else []


def heard(recording: Path) -> list[NDArray[np.float32]]:
    """Find the utterances of the recording, as the process does."""
    segmenter, found = Segmenter(), []
    for block in Recording(recording, fast=True).blocks():
        found += segmenter.feed(block)
    return [utterance.samples for utterance in [*found, *segmenter.flush()]]


def betraying(sounds: list[NDArray[np.float32]]) -> Iterator[bytes]:
    """Give a piece of each second of sound, in each form it might be written in.

    A file that holds any whole second holds one of these: they are 1/4 s apart.
    """
    for sound in sounds:
        loud = np.abs(sliding_window_view(sound, PIECE)).max(axis=1)
        for start in range(0, len(sound) - PIECE, RATE // 4):
            if loud[start] > 1e-3:
                piece = sound[start : start + PIECE]
                for scale in (32767, 32768):
                    yield np.round(piece * scale).astype("<i2").tobytes()
                yield piece.astype("<f4").tobytes()
                yield piece.astype("<f8").tobytes()


def files(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def features(house: Path) -> list[bytes]:
    """Give pieces of the features that were kept, raw and as the store has them."""
    with ExampleStore(house / "state" / "chorus" / "examples.sqlite", limit_mb=10) as store:
        stored = store.everything()
    rows = [one[frame] for one in stored.features for frame in (0, 5, 10)]
    return [row.astype(kind).tobytes()[:PIECE] for row in rows for kind in ("<f4", "<f8")]


def test_no_sound_and_features_only_in_the_store(house: Path, recording: Path, model: Path) -> None:
    trace = listen(house, recording, model)
    found = files(house)
    names = {str(path) for path in found}
    state = "state/chorus/"
    assert names == {f"{state}{name}" for name in ("examples.sqlite", "lock", "model.safetensors")}
    pieces = list(betraying(heard(recording)))
    assert len(pieces) > 80
    for path, content in found.items():
        assert not any(piece in content for piece in pieces), f"sound in {path}"
    kept = features(house)
    store = found[Path(f"{state}examples.sqlite")]
    assert sum(piece in store for piece in kept) == len(kept) // 2, "float32, where they belong"
    for path, content in found.items():
        if path.name != "examples.sqlite":
            assert not any(piece in content for piece in kept), f"features in {path}"
    written = {line.split('"')[1] for line in trace if "O_WRONLY" in line or "O_RDWR" in line}
    outside = {path for path in written if not path.startswith((str(house), "/dev/", "/proc/"))}
    assert not {path for path in outside if not path.endswith((".pyc", "__pycache__"))}
    assert not [line for line in trace if "AF_INET" in line], "no network"


def test_the_test_would_find_sound(house: Path, recording: Path, model: Path) -> None:
    listen(house, recording, model, "--keep-audio")
    import soundfile

    kept = sorted((house / "state" / "chorus" / "personal" / "sounds").iterdir())
    assert [path.name for path in kept] == [f"{number}.flac" for number in range(1, 5)]
    decoded = b"".join(soundfile.read(path, dtype="int16")[0].tobytes() for path in kept)
    assert sum(piece in decoded for piece in betraying(heard(recording))) > 20


def test_deleting_leaves_nothing_of_the_person(house: Path, recording: Path, model: Path) -> None:
    listen(house, recording, model, "--keep-audio")
    kept = features(house)
    done = subprocess.run(
        [str(EDGE_CLIENT), "examples", "delete", "--yes", "--state", house / "state" / "chorus"],
        check=False,
    )
    assert done.returncode == 0
    found = files(house)
    assert {path.name for path in found} == {"lock", "model.safetensors"}
    for content in found.values():
        assert not any(piece in content for piece in kept)


SAID = (
    "The silver teapot is under the stairs.",
    "Nobody told her about Wednesday.",
    "I have hidden the other key.",
    "He never came back from Lisbon.",
)
"""What the person's own recogniser hears; four sentences that are nowhere else."""


def told(text: str | bytes) -> list[str]:
    """Find which of the sentences stand in something, whole or in part."""
    content = text.encode() if isinstance(text, str) else text
    words = ("teapot", "stairs", "Wednesday", "hidden", "Lisbon", "never came")
    return [word for word in words if word.encode() in content]


@pytest.fixture
def own_recogniser() -> Iterator[OwnRecogniser]:
    with closing(OwnRecogniser([transcript(sentence) for sentence in SAID])) as own:
        yield own


def hear_words(
    house: Path, recording: Path, model: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    line = [str(EDGE_CLIENT), "run", "--wav", str(recording), "--fast", "--offline", "--headless"]
    done = subprocess.run(
        [*line, "--weights", str(model), "--state", str(house / "state" / "chorus"), *more],
        cwd=house / "work",
        env={**os.environ, "TMPDIR": str(house / "tmp")},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_words_are_shown_where_they_were_asked_for_and_kept_nowhere(
    house: Path, recording: Path, model: Path, own_recogniser: OwnRecogniser
) -> None:
    wyoming = f"wyoming://127.0.0.1:{own_recogniser.port}"
    done = hear_words(house, recording, model, "--words", wyoming, "--show-words")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["words"] for line in lines if "words" in line] == list(SAID)
    assert [line["identifier"] for line in lines] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert len(own_recogniser.sound) == 4
    assert not told(done.stderr), "the log"
    for path, content in files(house).items():
        assert not told(content), f"words in {path}"


BROKER = "127.0.0.2"
"""Another address than that by which the MQTT library's threads wake each other."""


class Recorder:
    """Passes bytes on to a port of this machine, and keeps those that clients send."""

    def __init__(self, target: int) -> None:
        self.sent = bytearray()
        self._target = target
        self._listener = socket.create_server((BROKER, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._target))
                for way in ((client, broker), (broker, client)):
                    threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                if sink.getpeername()[1] == self._target:
                    self.sent += piece
                sink.sendall(piece)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def eight(recording: Path, folder: Path) -> Path:
    """Write the recording twice over: enough utterances for some to be held out."""
    import soundfile

    sound, rate = soundfile.read(recording, dtype="int16")
    path = folder / "eight.wav"
    soundfile.write(path, np.concatenate([sound, sound]), rate, subtype="PCM_16")
    return path


def normalised(store: ExampleStore) -> list[bytes]:
    """Give pieces of the features as the device trains on them."""
    stored, kept = store.everything(), store.statistics()
    assert kept
    statistics = RunningStatistics.from_dict(kept, FRONT_ENDS.get("paper34"))
    rows = statistics.normalise(stored.features, stored.frames)[:, (0, 5, 10)].reshape(-1, 34)
    return [row.astype(kind).tobytes()[:PIECE] for row in rows for kind in ("<f4", "<f8", "<f2")]


def test_a_federation_hears_of_an_update_and_of_counts_alone(
    house: Path,
    recording: Path,
    model: Path,
    mosquitto: Mosquitto,
    own_recogniser: OwnRecogniser,
) -> None:
    spoken, state = eight(recording, house), house / "state" / "chorus"
    trace, strace = house / "trace", shutil.which("strace")
    calls = "trace=connect,sendto,sendmsg"
    watched = ["strace", "-D", "-f", "-qq", "-e", calls, "-o", str(trace)] if strace else []
    one_of_one = ("--quorum", "1", "--rounds", "1")
    with (
        closing(Recorder(mosquitto.port)) as recorder,
        Processes(house, Clips(Path(), ()), "conv", *one_of_one) as them,
    ):
        them.serve(mosquitto.port)
        device = them._start(
            house / "device.log",
            *watched,
            *(EDGE_CLIENT, "run", "--wav", spoken, "--fast", "--headless", "--weights", model),
            *("--web", "127.0.0.1:0", "--state", state, "--client", "kitchen"),
            *("--broker", BROKER, "--port", str(recorder.port), "--threads", "1"),
            *("--speaker", "Ada Lovelace", "--show-words"),
            *("--words", f"wyoming://127.0.0.1:{own_recogniser.port}"),
        )
        path = state / "examples.sqlite"
        them.wait(path.exists, "it keeps what it hears")
        with ExampleStore(path, limit_mb=10) as store:
            them.wait(lambda: store.counts()["unlabelled"] == 8, "it has heard")
            pieces = [*betraying(heard(spoken)), *normalised(store)]
            # At once, as the round begins with the first that the device sees.
            store._database.connection.execute("UPDATE examples SET label = 'sad'")
        them.wait(lambda: them.reached(1, "done"), "its update has made a model")
        assert them.counted(1) == 1
        device.send(signal.SIGTERM)
        them.wait(lambda: device.ended, "it has left")
        assert device.code == 0
    sent = bytes(recorder.sent)
    assert b"kitchen" in sent
    assert b'"confusion":' in sent, "what docs/privacy.md says that it tells"
    assert len(sent) > 1_000_000, "an update"
    pieces += features(house)
    assert len(pieces) > 300
    assert not [piece for piece in pieces if piece in sent]
    assert b"Ada" not in sent
    assert len(own_recogniser.sound) == 8, "its words were recognised"
    assert told((house / "device.log").read_bytes()), "and shown"
    assert not told(sent)
    for path, content in files(house / "state").items():
        assert not told(content), f"words in {path}"
    if strace:
        found = re.findall(r"_port=htons\((\d+)\), .*?\"([^\"]+)\"", trace.read_text())
        called = {(address, int(port)) for port, address in found if address != "127.0.0.1"}
        assert called == {(BROKER, recorder.port)}, "nobody is called but the broker"

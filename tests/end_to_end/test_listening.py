"""``edge-client run`` in processes of its own, on real speech."""

import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.device.listening import NOTHING
from edge_client.device.state import StateFolder
from edge_client.device.store import ExampleStore
from edge_client.hearing.recording import Recording
from edge_client.hearing.segmentation import Segmenter
from shared.emotions import EMOTIONS
from shared.features import frame_features, pad
from shared.normalisation import RunningStatistics
from shared.recogniser import Recogniser
from shared.weights import load_weights
from tests.brokers import free_port
from tests.edge_client.device.heard import frames, recognised
from tests.edge_client.hearing.sound_server import SoundServer, sound_server
from tests.end_to_end.conftest import Command
from tests.end_to_end.listening import BOUND, clips, command, model, recording, run

__all__ = ["model", "recording", "sound_server"]

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def opened(state: Path) -> ExampleStore:
    return ExampleStore(state / "examples.sqlite", limit_mb=100)


def expected(recording: Path, model: Path) -> list[list[float]]:
    """Recognise a recording by the parts themselves."""
    weights, architecture = load_weights(model)
    recogniser, statistics = Recogniser(architecture, weights), RunningStatistics()
    segmenter, found = Segmenter(), []
    for block in Recording(recording, fast=True).blocks():
        found += segmenter.feed(block)
    answers = []
    for utterance in [*found, *segmenter.flush()]:
        frames = frame_features(utterance.samples)
        statistics.update(frames)
        logits = recogniser.logits(statistics.normalise(pad(frames), len(frames)))
        powers = np.exp(logits.astype(np.float64) - logits.max())
        answers.append((powers / powers.sum()).tolist())
    return answers


def test_each_utterance_is_a_line_of_json(
    recording: Path, model: Path, state: Path, speech: Path
) -> None:
    done = run("--wav", recording, "--fast", "--headless", "--weights", model, "--state", state)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["identifier"] for line in lines] == [1, 2, 3, 4]
    for line, clip, answer in zip(lines, clips(speech), expected(recording, model), strict=True):
        assert list(line["probabilities"].values()) == pytest.approx(answer, abs=1e-4)
        assert line["emotion"] == EMOTIONS[int(np.argmax(answer))]
        assert line["label"] is None
        assert 0.5 < line["seconds"] < len(clip) / 16_000 + 1
    with opened(state) as store:
        assert store.counts()["unlabelled"] == 4
    assert (state.stat().st_mode & 0o777) == 0o700, "nobody else reads it"


def test_real_time_gives_the_same_and_what_was_heard_before_a_kill_stays(
    recording: Path, model: Path, state: Path
) -> None:
    line = command("--wav", recording, "--headless", "--weights", model, "--state", state)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    assert list(first["probabilities"].values()) == pytest.approx(
        expected(recording, model)[0], abs=1e-4
    )
    with opened(state) as store:
        (kept,) = store.recent(9)
        assert kept.probabilities == pytest.approx(list(first["probabilities"].values()), abs=1e-4)
    again = run("--wav", recording, "--fast", "--headless", "--state", state)
    assert json.loads(again.stdout.splitlines()[0])["identifier"] == 2


def test_without_a_model_everything_is_kept(recording: Path, state: Path) -> None:
    done = run("--wav", recording, "--fast", "--headless", "--state", state)
    assert done.returncode == 0
    assert "There is no model yet" in done.stderr
    assert {json.loads(line)["emotion"] for line in done.stdout.splitlines()} == {None}
    with opened(state) as store:
        assert len(store.everything().ids) == 4


class Terminal:
    """A person at a terminal."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str] = os.environ) -> None:
        self.handle, theirs = pty.openpty()
        self.process = subprocess.Popen(
            arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**environment, "TERM": "xterm", "COLUMNS": "150", "LINES": "40"},
        )
        os.close(theirs)
        self.seen = ""

    def until(self, condition: Callable[[], Any]) -> None:
        """Look on until something holds."""
        end = time.monotonic() + BOUND
        while not condition():
            assert time.monotonic() < end, self.seen[-3000:]
            if select.select([self.handle], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.handle, 65536).decode(errors="replace")
                except OSError:  # the other side has been closed
                    return

    def press(self, keys: str) -> None:
        os.write(self.handle, keys.encode())


def pressed(terminal: Terminal, key: str) -> bool:
    """Press a key again and again: for a moment, something new takes no answer."""
    terminal.press(key)
    return True


@pytest.fixture
def at_terminal() -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(arguments: list[str], environment: Mapping[str, str] = os.environ) -> Terminal:
        started.append(Terminal(arguments, environment))
        return started[-1]

    yield start
    for terminal in started:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.handle)


def test_one_key_labels_in_the_terminal(
    recording: Path, model: Path, state: Path, at_terminal: Callable[..., Terminal]
) -> None:
    terminal = at_terminal(
        command("--wav", recording, "--fast", "--weights", model, "--state", state)
    )
    terminal.until(lambda: "unlabelled 4" in terminal.seen)
    assert "a: angry" in terminal.seen
    with opened(state) as store:
        terminal.until(lambda: pressed(terminal, "S") and store.get(4).label == "sad")
        terminal.press("\x1b[Bh")
        terminal.until(lambda: store.get(3).label == "happy")
        terminal.press("d")
        terminal.until(lambda: store.get(3).discarded)
        terminal.press("u")
        terminal.until(lambda: not store.get(3).discarded)
        terminal.press("\n")
        terminal.until(lambda: store.get(4).label == store.get(4).emotion)
        terminal.press("q")
        terminal.until(lambda: terminal.process.poll() is not None)
        assert terminal.process.wait(BOUND) == 0
        assert store.counts()["unlabelled"] == 2


def recordings(server: SoundServer) -> int:
    """Count who has the microphone open."""
    line = ["pactl", "list", "short", "source-outputs"]
    listed = subprocess.run(
        line, env=server.environment, capture_output=True, text=True, check=True, timeout=BOUND
    )
    return len(listed.stdout.splitlines())


def test_a_microphone_is_heard_and_a_pause_closes_it(
    sound_server: SoundServer,
    speech: Path,
    model: Path,
    state: Path,
    at_terminal: Callable[..., Terminal],
) -> None:
    clip = clips(speech)[1]
    terminal = at_terminal(
        [*command("--mic", "--device", "pulse", "--weights", model, "--state", state)],
        sound_server.environment,
    )
    terminal.until(lambda: "● listening" in terminal.seen)
    with opened(state) as store:
        sound_server.play(clip)
        # Keys act on what is shown, so that nobody labels what they have not seen.
        terminal.until(lambda: "unlabelled 1" in terminal.seen)
        terminal.press("h")
        terminal.until(lambda: store.counts()["happy"] == 1)
        heard = store.counts()["unlabelled"]
        assert recordings(sound_server) == 1
        terminal.press("p")
        terminal.until(lambda: recordings(sound_server) == 0)
        sound_server.play(clip)
        assert store.counts()["unlabelled"] == heard
        terminal.press("p")
        terminal.until(lambda: recordings(sound_server) == 1)
        sound_server.play(clip)
        terminal.until(lambda: store.counts()["unlabelled"] > heard)
    terminal.press("q")
    terminal.until(lambda: terminal.process.poll() is not None)
    assert terminal.process.wait(BOUND) == 0


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_asked_to(
    recording: Path, model: Path, state: Path, asked: signal.Signals
) -> None:
    line = command("--wav", recording, "--headless", "--weights", model, "--state", state)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(asked)
        _, said = process.communicate(timeout=BOUND)
    assert process.returncode == 0, said
    assert b"Traceback" not in said


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_in_a_terminal_too(
    recording: Path,
    model: Path,
    state: Path,
    at_terminal: Callable[..., Terminal],
    asked: signal.Signals,
) -> None:
    terminal = at_terminal(command("--wav", recording, "--weights", model, "--state", state))
    terminal.until(lambda: "q: end" in terminal.seen)
    terminal.process.send_signal(asked)
    terminal.until(lambda: terminal.process.poll() is not None)
    assert terminal.process.wait(BOUND) == 0
    assert "Traceback" not in terminal.seen


def test_a_recording_without_speech_is_said_and_is_no_error(model: Path, state: Path) -> None:
    import soundfile

    silent = state.with_name("silence.wav")
    soundfile.write(silent, np.zeros(32_000), 16_000)
    done = run("--wav", silent, "--fast", "--headless", "--weights", model, "--state", state)
    assert (done.returncode, done.stdout) == (0, "")
    assert NOTHING in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_what_is_imported_beside_it_is_learned_from(
    recording: Path,
    model: Path,
    state: Path,
    tmp_path: Path,
    edge_client: Command,
    at_terminal: Callable[..., Terminal],
) -> None:
    with ExampleStore(tmp_path / "other.sqlite", limit_mb=10) as store:
        for seed in range(3):
            store.label(store.add(recognised(), frames(seed)), "sad")
        store.export(tmp_path / "three.npz")
    terminal = at_terminal(
        command("--wav", recording, "--fast", "--weights", model, "--state", state)
    )
    terminal.until(lambda: "unlabelled 4" in terminal.seen)
    assert edge_client("examples", "import", tmp_path / "three.npz", "--state", state).code == 0
    terminal.until(lambda: "adapted to 3 of your answers" in terminal.seen)
    terminal.press("q")


@pytest.mark.parametrize("option", ["--headless", "--keep-audio", "--web", "--fast"])
def test_what_labelled_clips_cannot_have_is_said(
    tmp_path: Path, state: Path, edge_client: Command, option: str
) -> None:
    done = edge_client("run", "--wav", tmp_path, "--state", state, option)
    assert done.code == 2
    assert f"nobody listens to: {option} cannot be had" in " ".join(done.err.split())
    assert not state.exists()


@pytest.mark.parametrize("damage", ["torn", "foreign", "unreadable"])
def test_deleting_needs_no_store_that_can_be_opened(
    recording: Path, model: Path, state: Path, edge_client: Command, damage: str
) -> None:
    run("--wav", recording, "--fast", "--headless", "--weights", model, "--state", state)
    clips = StateFolder(state / "clips" / "pi-mine")
    with clips.taken():
        (clips.federations / "chorus").mkdir(parents=True)
        (clips.federations / "chorus" / "0.update").write_bytes(b"made of clips")
    with opened(state) as store:
        store.label(1, "sad")
        features = [one[:10].tobytes() for one in store.everything().features]
        if damage == "foreign":
            store._connection.execute("PRAGMA user_version = 99")
    path = state / "examples.sqlite"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "unreadable":
        path.write_bytes(b"somebody's letter " * 1000)
    (state / "examples-damaged-20260101T000000.sqlite").write_bytes(features[0])
    with path.open("rb") as still_open:
        done = edge_client("examples", "delete", "--yes", "--json", "--state", state)
        assert not still_open.read().strip(b"\0"), "it is overwritten before it is removed"
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"deleted": None}
    left = {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()}
    assert left == {"lock", "model.safetensors"}
    assert not clips.path.exists()


def test_deleting_leaves_alone_what_only_has_the_name_of_ours(
    tmp_path: Path, edge_client: Command
) -> None:
    """Whoever names the wrong folder keeps their own clips, and may still enter it."""
    mine = tmp_path / "clips" / "angry" / "1.wav"
    mine.parent.mkdir(parents=True)
    mine.touch()
    tmp_path.chmod(0o755)
    assert edge_client("examples", "delete", "--yes", "--state", tmp_path).code == 0
    assert mine.exists()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_settings_file_of_run_says_where_the_state_is(
    state: Path, tmp_path: Path, edge_client: Command
) -> None:
    with ExampleStore(state / "examples.sqlite", limit_mb=10) as store:
        store.add(recognised(), frames(1))
        store._connection.execute("UPDATE examples SET seconds = 9e999")
    clips = StateFolder(state / "clips" / "pi-mine")
    with clips.taken():
        (clips.federations / "chorus").mkdir(parents=True)
    config = tmp_path / "device.toml"
    config.write_text(f'mic = true\nweb = "0.0.0.0:8765"\nstate = "{state}"\n')
    listed = edge_client("examples", "list", "--json", "--config", config).out
    assert "Infinity" not in listed
    assert [one["seconds"] for one in json.loads(listed)["examples"]] == [None]
    told = json.loads(edge_client("status", "--json", "--config", config).out)
    assert (told["utterances"], told["clips"]["pi-mine"]["chorus"]["accepted"]) == (1, 0)
    assert "clips as pi-mine, federation chorus" in edge_client("status", "--config", config).out


def test_a_second_one_is_refused_and_deleting_waits(
    recording: Path, model: Path, state: Path, edge_client: Command
) -> None:
    line = command("--wav", recording, "--headless", "--weights", model, "--state", state)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        second = run("--wav", recording, "--fast", "--state", state)
        assert second.returncode == 13
        assert "Another edge-client is running" in second.stderr
        refused = edge_client("examples", "delete", "--yes", "--state", state)
        assert refused.code == 13
        listed = edge_client("examples", "list", "--json", "--state", state)
        assert len(json.loads(listed.out)["examples"]) >= 1
        process.kill()


def test_examples_are_listed_exported_imported_and_deleted(
    recording: Path, model: Path, state: Path, tmp_path: Path, edge_client: Command
) -> None:
    assert edge_client("examples", "list", "--state", state).out.startswith("0 utterances")
    assert not state.exists(), "looking makes nothing"
    assert edge_client("examples", "export", "all.npz", "--state", state).code == 10
    run("--wav", recording, "--fast", "--headless", "--weights", model, "--state", state)
    with opened(state) as store:
        store.label(2, "angry")
        before = store.everything()
    assert "2" in edge_client("examples", "list", "--state", state).out
    out = tmp_path / "all.npz"
    assert edge_client("examples", "export", out, "--state", state).code == 0
    refused = edge_client("examples", "import", recording, "--state", state)
    assert refused.code == 10
    assert "does not hold examples" in refused.err
    other = tmp_path / "other"
    for new in ("4", "0"):
        assert edge_client("examples", "import", out, "--state", other).out.startswith(new)
    with opened(other) as store:
        after = store.everything()
        assert np.array_equal(after.features, before.features)
        assert [known.label for known in after.recognitions] == [None, "angry", None, None]
        assert {known.source for known in after.recognitions} == {"import"}
        assert after.recognitions[0].heard_at == before.recognitions[0].heard_at
    asked = subprocess.run(
        [*command()[:1], "examples", "delete", "--state", str(state)],
        input="n\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 1
    with opened(state) as store:
        assert len(store.recent(9)) == 4
    deleted = edge_client("examples", "delete", "--yes", "--json", "--state", state)
    assert json.loads(deleted.out) == {"deleted": 4}
    assert not (state / "examples.sqlite").exists()


def test_the_page_is_served_where_asked(
    recording: Path, model: Path, state: Path, at_terminal: Callable[..., Terminal]
) -> None:
    pytest.importorskip("segno")
    from urllib.request import urlopen

    line = command("--wav", recording, "--fast", "--weights", model, "--state", state)
    terminal = at_terminal([*line, "--web", "127.0.0.1:0"])
    terminal.until(lambda: "unlabelled 4" in terminal.seen)
    address = terminal.seen.split("The page: ")[1].split()[0]
    assert "▀" in terminal.seen, "a QR code"
    assert "\x1b[97;40m" in terminal.seen, "white on black, whatever the terminal's own colours"
    assert address.endswith((state / "personal" / "token").read_text())
    with urlopen(address, timeout=BOUND) as answer:  # noqa: S310 - our own page
        assert answer.status == 200


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "say what to hear"),
        (["--mic", "--wav", "x.wav"], 2, "say what to hear"),
        (["--mic", "--fast"], 2, "only a recording can be heard fast"),
        (["--wav", "/nowhere.wav"], 11, "There is no recording /nowhere.wav"),
        (["--wav", "/"], 2, "labelled clips, which are for a federation"),
        (["--wav", "WAV", "--weights", "/nowhere"], 12, "There is no file /nowhere"),
        (["--wav", "WAV", "--weights", "WAV"], 12, "not a whole safetensors file"),
        (["--wav", "WAV", "--state", "/dev/null"], 14, "Cannot write /dev/null"),
        (["--wav", "WAV", "--web", "127.0.0.1:99999"], 2, "port up to 65535"),
        (["--wav", "WAV", "--store-mb", "0"], 2, "store_mb"),
    ],
)
def test_bad_input_is_one_sentence(
    recording: Path, state: Path, arguments: list[str], code: int, words: str, edge_client: Command
) -> None:
    given = [str(recording) if one == "WAV" else one for one in arguments]
    done = edge_client("run", "--offline", "--headless", "--state", state, *given)
    assert done.code == code, done.err
    assert words in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_without_a_broker_it_listens_all_the_same(
    recording: Path, state: Path, edge_client: Command
) -> None:
    done = edge_client(
        *("run", "--fast", "--headless", "--wav", recording, "--state", state),
        *("--port", free_port()),
    )
    assert done.code == 0, done.err
    assert [json.loads(line)["identifier"] for line in done.out.splitlines()]


def test_a_port_in_use_is_said(recording: Path, state: Path, edge_client: Command) -> None:
    pytest.importorskip("segno")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = edge_client(
            *("run", "--offline", "--headless", "--fast", "--wav", recording, "--state", state),
            *("--web", f"127.0.0.1:{port}"),
        )
    assert done.code == 2
    assert str(port) in done.err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 8.2 MB: a model, and hardly any utterance."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8200k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("a file system of its own can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leave two blocks."""
    room = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes((room.f_bavail - 2) * room.f_frsize))


def test_a_full_disk_is_said_and_listening_goes_on(
    recording: Path, model: Path, small_disk: Path, edge_client: Command
) -> None:
    state = small_disk / "state"
    line: list[str | Path] = ["--wav", recording, "--fast", "--headless", "--state", state]
    assert run(*line, "--weights", model).returncode == 0
    fill(small_disk)
    done = run(*line)
    assert "Traceback" not in done.stderr
    if done.returncode == 0:  # SQLite could open the file, but not add to it
        assert [json.loads(one)["identifier"] for one in done.stdout.splitlines()][-1] < 0
        assert all(json.loads(one)["emotion"] for one in done.stdout.splitlines())
    else:
        assert done.returncode == 14
    assert "disk is full" in " ".join(done.stderr.split())
    exported = edge_client("examples", "export", small_disk / "all.npz", "--state", state)
    assert exported.code == 14
    assert "disk is full" in exported.err
    assert "Traceback" not in exported.err
    assert {path.name for path in small_disk.iterdir()} == {"filler", "state"}
    (small_disk / "filler").unlink()
    with opened(state) as store:
        assert [known.identifier for known in store.recent(9)][-4:] == [4, 3, 2, 1]
    assert not list(state.glob("*damaged*")), "a full disk is no damage"
    assert json.loads(run(*line).stdout.splitlines()[-1])["identifier"] > 0
    fill(small_disk)
    assert edge_client("examples", "delete", "--yes", "--state", state).code == 0
    assert {path.name for path in state.iterdir()} == {"lock", "model.safetensors"}

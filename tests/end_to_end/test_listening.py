"""``edge-client run`` in processes of its own, on real speech."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_client.device.listening import NOTHING
from edge_client.hearing.recording import Recording
from edge_client.hearing.segmentation import Segmenter
from shared.features.normalisation import RunningStatistics
from shared.frames import pad
from shared.front_ends import FRONT_ENDS
from shared.front_ends.paper34 import frame_features
from shared.inference import Inference
from shared.task import DEFAULT_TASK, PAPER34
from shared.weights import load_weights, save_weights
from tests.brokers import free_port, wait_until
from tests.edge_client.hearing.sound_server import SoundServer, in_a_room, sound_server
from tests.end_to_end.conftest import Command
from tests.end_to_end.listening import (
    BOUND,
    Terminal,
    at_terminal,
    clips,
    command,
    model,
    opened,
    pressed,
    recording,
    run,
    running,
    state,
)

__all__ = ["at_terminal", "model", "recording", "sound_server", "state"]

pytestmark = pytest.mark.usefixtures("environment")


def expected(recording: Path, model: Path) -> list[list[float]]:
    """Recognise a recording by the parts themselves."""
    weights, architecture = load_weights(model)
    inference = Inference(architecture, weights)
    statistics = RunningStatistics(FRONT_ENDS.get("paper34"))
    segmenter, found = Segmenter(), []
    for block in Recording(recording, fast=True).blocks():
        found += segmenter.feed(block)
    answers = []
    for utterance in [*found, *segmenter.flush()]:
        frames = frame_features(utterance.samples)
        statistics.update(frames)
        features = statistics.normalise(pad(frames, PAPER34), len(frames))
        logits = inference.logits(features, len(frames))
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
        assert line["emotion"] == DEFAULT_TASK.names[int(np.argmax(answer))]
        assert line["label"] is None
        assert 0.5 < line["seconds"] < len(clip) / 16_000 + 1
    with opened(state) as store:
        assert store.counts()["unlabelled"] == 4
    assert (state.stat().st_mode & 0o777) == 0o700, "nobody else reads it"


def test_real_time_gives_the_same_and_what_was_heard_before_a_kill_stays(
    recording: Path, model: Path, state: Path
) -> None:
    line = command("--wav", recording, "--headless", "--weights", model, "--state", state)
    with running(line, stdout=subprocess.PIPE, text=True) as process:
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


def test_a_model_that_overflows_names_no_label_and_prints_json(
    recording: Path, model: Path, state: Path
) -> None:
    weights, architecture = load_weights(model)
    huge = state.with_name("huge.safetensors")
    save_weights(huge, weights * np.float32(1e7), architecture)
    done = run("--wav", recording, "--fast", "--headless", "--weights", huge, "--state", state)
    assert done.returncode == 0, done.stderr
    assert "its weights are too large" in done.stderr
    assert "NaN" not in done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["emotion"], line["probabilities"]) for line in lines] == [(None, None)] * 4


def test_without_a_model_everything_is_kept(recording: Path, state: Path) -> None:
    paper = ("--front-end", "paper34")
    done = run("--wav", recording, "--fast", "--headless", "--state", state, *paper)
    assert done.returncode == 0
    assert "There is no model yet" in done.stderr
    assert {json.loads(line)["emotion"] for line in done.stdout.splitlines()} == {None}
    with opened(state) as store:
        assert len(store.kept()) == 4


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
        terminal.until(lambda: store.get(4).label == store.get(4).predicted)
        terminal.press("q")
        terminal.until(lambda: terminal.process.poll() is not None)
        assert terminal.process.wait(BOUND) == 0
        assert store.counts()["unlabelled"] == 2


def test_a_terminal_that_goes_ends_the_device_as_its_key_does(
    recording: Path, model: Path, state: Path, at_terminal: Callable[..., Terminal]
) -> None:
    line = command("--wav", recording, "--fast", "--weights", model, "--state", state)
    terminal = at_terminal(line)
    terminal.until(lambda: "unlabelled 4" in terminal.seen)
    terminal.hang_up()
    assert terminal.process.wait(BOUND) == 0


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
    clip = in_a_room(clips(speech)[1])
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


def test_a_microphone_that_goes_and_comes_is_said_in_words_alone(
    sound_server: SoundServer, model: Path, state: Path, at_terminal: Callable[..., Terminal]
) -> None:
    line = command("--mic", "--device", "pulse", "--weights", model, "--state", state)
    terminal = at_terminal(line, sound_server.environment)
    terminal.until(lambda: "● listening" in terminal.seen)
    sound_server.kill()
    terminal.until(lambda: "pulse is gone: plug it in again." in terminal.seen)
    assert "● waiting" in terminal.seen
    terminal.press("p")
    terminal.until(lambda: "● paused" in terminal.seen)
    terminal.seen = ""
    sound_server.start()
    terminal.press("p")
    terminal.until(lambda: "● listening" in terminal.seen)
    terminal.press("q")
    terminal.until(lambda: terminal.process.poll() is not None)
    assert "Expression" not in terminal.seen
    assert "ALSA" not in terminal.seen


def test_without_a_view_a_microphone_that_goes_and_comes_is_said_in_the_log(
    sound_server: SoundServer, model: Path, state: Path, tmp_path: Path
) -> None:
    line = command("--mic", "--device", "pulse", "--weights", model, "--state", state)
    log = tmp_path / "log"
    sound_server.kill()

    def until(words: str, count: int = 1) -> None:
        wait_until(lambda: log.read_text().count(words) == count, words)

    with (
        log.open("w") as said,
        running(
            [*line, "--headless"], env=sound_server.environment, stdout=said, stderr=said
        ) as process,
    ):
        until("Waiting for a microphone. ")
        sound_server.start()
        until("Listening to pulse.")
        sound_server.unplug()
        until("pulse is gone: plug it in again.")
        sound_server.plug()
        until("Listening to pulse.", 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(BOUND) == 0


@pytest.mark.parametrize("rate", ["16000", "44100", "48000"])
def test_ctrl_c_ends_a_microphone_of_any_rate_without_a_report(
    rate: str, sound_server: SoundServer, model: Path, state: Path, speech: Path
) -> None:
    line = command("--mic", "--device", "pulse", "--rate", rate, "--weights", model)
    with running(
        [*line, "--state", state, "--headless"],
        env=sound_server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        wait_until(lambda: recordings(sound_server), "it listens")
        sound_server.play(in_a_room(clips(speech)[1]))
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=BOUND)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "leak" not in said


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_asked_to(
    recording: Path, model: Path, state: Path, asked: signal.Signals
) -> None:
    line = command("--wav", recording, "--headless", "--weights", model, "--state", state)
    with running(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
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


@pytest.mark.parametrize("option", ["--headless", "--keep-audio", "--web", "--fast"])
def test_what_labelled_clips_cannot_have_is_said(
    tmp_path: Path, state: Path, edge_client: Command, option: str
) -> None:
    done = edge_client("run", "--clips", tmp_path, "--state", state, option)
    assert done.code == 2
    assert f"does not listen to: they go without {option}." in " ".join(done.err.split())
    assert not state.exists()


def test_labelled_clips_by_their_old_option_are_taken_with_a_remark(
    tmp_path: Path, edge_client: Command, caplog: pytest.LogCaptureFixture
) -> None:
    done = edge_client("run", "--wav", tmp_path, "--offline")
    assert done.code == 2
    assert "labelled clips, which are for a federation" in done.err
    (remark,) = caplog.messages
    assert f"--clips {tmp_path}; --wav takes them in this version only" in remark


def test_a_second_one_is_refused_and_deleting_waits(
    recording: Path, model: Path, state: Path, edge_client: Command
) -> None:
    line = command("--wav", recording, "--headless", "--weights", model, "--state", state)
    with running(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)  # or it has heard all, and is gone, before we look
        second = run("--wav", recording, "--fast", "--state", state)
        assert second.returncode == 13
        assert "Another edge-client is running" in second.stderr
        refused = edge_client("examples", "delete", "--yes", "--state", state)
        assert refused.code == 13
        listed = edge_client("examples", "list", "--json", "--state", state)
        assert len(json.loads(listed.out)["examples"]) >= 1
        process.kill()


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
        (["--mic", "--clips", "x"], 2, "say what to hear"),
        (["--clips", "/nowhere"], 2, "/nowhere holds labelled clips, which are for a federation"),
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

"""A federation on this machine, as `make federation` shows it: `federation.py [FOLDER]`.

Writes clips of four synthetic voices, one voice a device; starts the aggregator with its own broker
and four devices, all as processes of their own; waits for the last round; and shows what came of
it. Everything lies in FOLDER (runs/federation if not given), which is begun anew. Ctrl-C ends all.
"""
# ruff: noqa: INP001 - a script, run by its path

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NoReturn

from aggregator.commands.curves import tracked_run
from aggregator.commands.pictures import draw_rounds
from aggregator.ledger import History
from aggregator.ledger.folder import FederationFolder
from shared.command import progress_console
from shared.corpora import load_corpus
from shared.errors import ChorusError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICES: Final = 4
CLIPS: Final = 40
"""Clips of each voice; a fifth of them is held out, and scores each round's model."""

ROUNDS: Final = 4
TRAINING: Final = ("--epochs", "2")

_LOOK: Final = 0.5
"""Seconds between looks whether all processes are still there."""

_END: Final = 15.0
"""Seconds that a process may take to end when it is asked to."""


def main() -> int:
    """Run it; give the exit code."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/federation")
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        for part in ("clips", "aggregator", "devices"):
            shutil.rmtree(folder / part, ignore_errors=True)
        _say(f"Writing the clips of {DEVICES} synthetic voices (not speech) into {folder} ...")
        voices = write_clips(folder / "clips")
        run(folder, voices)
        show(folder)
    except ChorusError as error:
        _say(f"error: {error.problem} {error.remedy}")
        return error.exit_code
    except KeyboardInterrupt:
        _say(f"Stopped; all processes have ended. {folder} keeps what was reached.")
        return 130
    return 0


def write_clips(folder: Path) -> list[Path]:
    """Write each voice's clips into folders named by emotion; give the voices' folders."""
    import soundfile

    corpus = load_corpus("synthetic", speakers=DEVICES, clips_per_speaker=CLIPS)
    for clip in corpus.clips:
        voice, name = clip.identifier.split("/")
        path = folder / voice / str(clip.label) / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip.read(), 16_000)
    return sorted(folder.iterdir())


def run(folder: Path, voices: Sequence[Path]) -> None:
    """Run the aggregator and a device for each voice, until the last round has ended."""
    port = str(_free_port())
    with ExitStack() as stack:
        line = ["aggregator", "serve", "--embedded-broker", "--port", port]
        line += ["--rounds", str(ROUNDS), "--quorum", str(DEVICES), *TRAINING]
        # Clips grow no more: there is nothing to wait for.
        line += ["--new-examples", "0", "--every", "0"]
        aggregator = stack.enter_context(_process([*line, "--state", str(folder / "aggregator")]))
        devices = {}
        for voice in voices:
            state = folder / "devices" / voice.name
            state.mkdir(parents=True)
            line = ["edge-client", "run", "--clips", str(voice), "--port", port]
            line += ["--client", voice.name, "--threads", "1", "--state", str(state)]
            log = stack.enter_context((state / "log.txt").open("w"))
            devices[voice.name] = stack.enter_context(_process(line, log))
        _say(f"What each device says is in {folder}/devices/*/log.txt.")
        while _is_running(aggregator):
            for name, device in devices.items():
                if device.poll() is not None:
                    log_file = folder / "devices" / name / "log.txt"
                    raise ChorusError(f"The device {name} ended by itself.", f"Look at {log_file}.")
        if aggregator.returncode:
            raise ChorusError(f"The aggregator ended with exit code {aggregator.returncode}.")


def show(folder: Path) -> None:
    """Print the table of rounds, and draw them."""
    state = folder / "aggregator"
    line = ["aggregator", "status", "--state", str(state)]
    subprocess.run([_command(line[0]), *line[1:]], check=True, env=_environment())  # noqa: S603 -- our own
    picture = folder / "rounds.png"
    with History(FederationFolder(state).ledger) as history:
        draw_rounds(tracked_run(history).points, 1 / len(history.task.names), picture)
    _say(
        f"{picture} shows the rounds. `UAR before` is that of the model a round begins with, on "
        "the devices' own held-out examples."
    )


@contextmanager
def _process(line: Sequence[str], log: IO[str] | None = None) -> "Iterator[subprocess.Popen[str]]":
    """Run a command of ours; end it on leaving, however that comes about."""
    _say(f"$ {shlex.join(line)}")
    process = subprocess.Popen(  # noqa: S603 -- our own
        [_command(line[0]), *line[1:]], env=_environment(), stdout=log, stderr=log, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_running(process: "subprocess.Popen[str]") -> bool:
    """Wait a moment; say whether a process is still there."""
    try:
        process.wait(_LOOK)
    except subprocess.TimeoutExpired:
        return True
    return False


def _command(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _environment() -> dict[str, str]:
    """Leave out settings of the caller: this is the same for everybody."""
    kept = ("CHORUS_CACHE",)
    return {n: v for n, v in os.environ.items() if n in kept or not n.startswith("CHORUS_")}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    progress_console().print(text, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())

"""Make such a state by a checkout of the version that it is of.

    git worktree add /tmp/then COMMIT
    python -m tests.end_to_end.upgrade.make /tmp/then tests/end_to_end/upgrade/COMMIT

A device joins by invitation, hears a recording, takes part in two rounds with labelled clips, and
both sides stop.
"""

import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from shared.corpora import load_corpus
from tests.end_to_end.upgrade import MADE_IN, PORT

CLIPS = 12
LEFT_OUT = ("lock", "token", "embedded-broker.log")


def write_clips(folder: Path) -> Path:
    """Write what the device trains on, and ``heard.wav`` for what it hears."""
    folder.mkdir()
    clips = load_corpus("synthetic", speakers=3, clips_per_speaker=CLIPS).clips[:CLIPS]
    rows = []
    for number, clip in enumerate(clips):
        soundfile.write(folder / f"{number}.wav", clip.read(), 16_000)
        rows.append([f"{number}.wav", clip.label, "one"])
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "speaker"], *rows])
    pause = np.zeros(16_000, np.float32)
    soundfile.write(folder / "heard.wav", np.concatenate([pause, clips[0].read(), pause]), 16_000)
    return folder


def main(checkout: Path, to: Path) -> None:
    """Make one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = write_clips(folder / "clips")
        environment = {**os.environ, "PYTHONPATH": str(checkout), "CHORUS_CACHE": str(folder / "c")}

        def start(program: str, *words: str | Path) -> "subprocess.Popen[str]":
            text = f"from {program}.cli import main; main()"
            line = [sys.executable, "-c", text, *map(str, words)]
            return subprocess.Popen(
                line, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
            )

        def command(program: str, *words: str | Path) -> str:
            process = start(program, *words)
            said, _ = process.communicate()
            if process.returncode:
                raise SystemExit(f"{program} {words} ended with {process.returncode}")
            return said.strip()

        states = folder / "aggregator", folder / "device"
        serve = (
            f"serve --embedded-broker --by-invitation --rounds 2 --quorum 1 --stay --port {PORT} "
        )
        serve += "--least-examples 1 --new-examples 0 --every 0 --round-seconds 600 --state"
        server = start("aggregator", *serve.split(), states[0])
        try:
            while not (states[0] / "broker.pem").exists():
                time.sleep(0.1)
            link = command("aggregator", "invite", "kitchen", "--state", states[0])
            command("edge_client", "join", link, "--state", states[1], "--no-page")
            heard = ("--fast", "--headless", "--offline", "--state", states[1])
            command("edge_client", "run", "--wav", clips / "heard.wav", *heard)
            part = ("--leave-after", "2", "--threads", "1", "--state", states[1])
            config = states[1] / "edge-client.toml"
            command("edge_client", "run", "--clips", clips / "clips.csv", "--config", config, *part)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
        settings = states[1] / "edge-client.toml"
        settings.write_text(settings.read_text().replace(str(folder), MADE_IN))
        shutil.rmtree(to, ignore_errors=True)
        for state in states:
            shutil.copytree(state, to / state.name, ignore=shutil.ignore_patterns(*LEFT_OUT))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))

"""Both sides go on with what an earlier version has kept, and with nothing of a newer one."""

import shutil
import sqlite3
import subprocess
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from aggregator.enrolment.members import Members
from aggregator.ledger import History, Ledger
from aggregator.ledger.folder import FederationFolder
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from edge_client.federation.client_state import remembered
from shared.architectures import architecture_of
from shared.front_ends import WHISPER_WHOLE
from shared.randomness import stream
from shared.task import DEFAULT_TASK, PAPER34, Task
from shared.weights import initial_weights
from tests.brokers import BOUND, free_port
from tests.end_to_end.federation.processes import Process
from tests.end_to_end.upgrade import MADE_IN, PORT, STATES
from tests.end_to_end.upgrade.make import write_clips
from tests.fork_server import BIN

VERSIONS = sorted(path.parents[1].name for path in STATES.glob("*/aggregator/key.pem"))
"""Those in which a device has joined."""

BEFORE_JOINING = "8761336"

pytestmark = pytest.mark.usefixtures("environment")

TASK = Task(DEFAULT_TASK.labels, WHISPER_WHOLE)
"""What both sides recognised then."""

PAPER_TASK = Task(DEFAULT_TASK.labels, PAPER34)
"""And before."""


@dataclass(frozen=True)
class Kept:
    """A copy of what an earlier version has kept."""

    folder: Path
    port: int

    @property
    def aggregator(self) -> FederationFolder:
        return FederationFolder(self.folder / "aggregator")

    @property
    def device(self) -> DeviceFolder:
        return DeviceFolder(self.folder / "device")

    def serve(self, *words: str) -> list[str | Path]:
        line = f"serve --embedded-broker --by-invitation --rounds 3 --port {self.port} --quorum 1 "
        line += "--least-examples 1 --new-examples 0 --every 0 --round-seconds 600 --state"
        return [BIN / "aggregator", *line.split(), self.aggregator.path, *words]

    def run(self, *words: str | Path) -> list[str | Path]:
        config = self.device.path / "edge-client.toml"
        return [BIN / "edge-client", "run", *words, "--state", self.device.path, "--config", config]


@pytest.fixture(params=VERSIONS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    shutil.copytree(STATES / request.param, tmp_path / "kept")
    it = Kept(tmp_path / "kept", free_port())
    settings = it.device.path / "edge-client.toml"
    text = settings.read_text().replace(MADE_IN, str(it.folder))
    settings.write_text(text.replace(f"port = {PORT}", f"port = {it.port}"))
    return it


def brought_up_to_date(ledger: Path, folder: Path) -> Path:
    """Copy a ledger, so that it can be read, and leave it as it is for who serves it."""
    copy = folder / "copy" / ledger.name
    copy.parent.mkdir()
    shutil.copyfile(ledger, copy)
    Ledger(copy).close()
    return copy


def test_both_sides_go_on_where_they_were(kept: Kept, tmp_path: Path) -> None:
    with History(brought_up_to_date(kept.aggregator.ledger, tmp_path)) as history:
        before = [history.updates(number) for number in (1, 2)]
        run = history.run
    with Members(kept.aggregator.members) as members:
        joined = members.joined()
    clips = write_clips(tmp_path / "clips") / "clips.csv"
    with ExitStack() as stack:
        server = Process(tmp_path / "server.log", *kept.serve())
        stack.callback(server.kill)
        line = kept.run("--clips", clips, "--leave-after", "3", "--threads", "1")
        device = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
        assert device.returncode == 0, device.stderr + server.log.read_text()
        server._process.wait(BOUND)  # it ends by itself: the third round was the last
        assert server.code == 0
    with History(kept.aggregator.ledger) as history:
        assert [history.updates(number) for number in (1, 2)] == before
        assert history.run == run
        assert [update.client for update in history.updates(3)] == ["kitchen"]
        assert history.find(3).round == 3
    with Members(kept.aggregator.members) as members:
        assert members.joined() == joined
    assert remembered(kept.device.federations / "chorus")["accepted"] == 3
    with ExampleStore(kept.device.examples, limit_mb=10, task=TASK) as store:
        assert store.counts()["unlabelled"] == 1


def with_first_model(state: Path) -> FederationFolder:
    """Put the weights behind the head of the first model, which a seed gives."""
    (head,) = state.glob("models/*.head")
    weights = initial_weights(architecture_of("conv", PAPER_TASK), stream(0, "initial weights"))
    head.with_suffix(".safetensors").write_bytes(head.read_bytes() + weights.tobytes())
    head.unlink()
    return FederationFolder(state)


def test_what_was_kept_before_devices_could_join_is_gone_on_with_too(tmp_path: Path) -> None:
    kept, port = tmp_path / "kept", str(free_port())
    shutil.copytree(STATES / BEFORE_JOINING, kept)
    aggregator, device = with_first_model(kept / "aggregator"), DeviceFolder(kept / "device")
    clips = write_clips(tmp_path / "clips") / "clips.csv"
    words = "serve --embedded-broker --rounds 3 --quorum 1 --codecs float32 --least-examples 1"
    pace = "--new-examples 0 --every 0 --round-seconds 600"
    with ExitStack() as stack:
        line: list[str | Path] = [BIN / "aggregator", *words.split(), *pace.split()]
        line += ["--port", port]
        server = Process(tmp_path / "server.log", *line, "--state", aggregator.path)
        stack.callback(server.kill)
        part = f"--client kitchen --port {port} --leave-after 3 --threads 1".split()
        run: list[str | Path] = [BIN / "edge-client", "run", "--clips", clips, *part]
        run += ["--state", device.path]
        ended = subprocess.run(run, capture_output=True, text=True, timeout=300, check=False)
        assert ended.returncode == 0, ended.stderr + server.log.read_text()
        server._process.wait(BOUND)
        assert server.code == 0
    with History(aggregator.ledger) as history:
        assert [history.updates(number)[0].client for number in (1, 2, 3)] == 3 * ["kitchen"]
        assert [version.origin for version in history.versions()] == [
            *("round", "rollback", "round", "round", "initial"),
        ]
    assert remembered(device.federations / "chorus")["accepted"] == 3
    with ExampleStore(device.examples, limit_mb=10, task=PAPER_TASK) as store:
        assert store.counts()["unlabelled"] == 1


@pytest.mark.parametrize("what", ["ledger", "members", "examples"])
def test_what_a_newer_version_has_kept_is_refused_in_one_sentence(
    kept: Kept, what: str, tmp_path: Path
) -> None:
    path = kept.device.examples if what == "examples" else getattr(kept.aggregator, what)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    write_clips(tmp_path / "clips")
    offline = kept.run("--wav", tmp_path / "clips" / "heard.wav", "--headless", "--offline")
    line = offline if what == "examples" else kept.serve()
    ended = subprocess.run(line, capture_output=True, text=True, timeout=BOUND, check=False)
    said = " ".join(ended.stderr.split())
    assert ended.returncode == {"ledger": 19, "members": 20, "examples": 14}[what], said
    assert "newer" in said
    assert path.name in said
    assert "Traceback" not in said
    assert path.read_bytes() == before

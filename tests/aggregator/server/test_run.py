"""What ``aggregator serve`` puts together, and what it says."""

import os
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aggregator.ledger import Version
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Closed
from aggregator.server.run import serve
from aggregator.server.settings import ServeSettings
from shared.errors import StorageError
from shared.mqtt.broker_settings import BrokerSettings
from tests.aggregator.driver import UNPACED, come, put, random_update
from tests.brokers import BOUND, free_port
from tests.disk import mounted

pytestmark = pytest.mark.usefixtures("tiny")


class Scripted:
    """Stands in for the service: plays a round without a network."""

    def __init__(
        self,
        federation: Federation,
        broker: BrokerSettings,
        *,
        on_round: Callable[[int, Version | None], None],
        on_change: Callable[[], None],
        members: None,
    ) -> None:
        assert members is None
        self.federation = federation
        self.broker = broker
        self.on_round = on_round
        self.on_change = on_change
        self.forever = False
        self.stopped = False

    def run(self, *, forever: bool) -> None:
        self.forever = forever
        federation = self.federation
        federation.rounds.start(0)
        self.on_change()
        if federation.rounds.phase == "finished":
            return
        opened = come(federation, ["anna", "ben"])
        assert opened
        self.on_change()
        put(federation, opened.number, random_update("anna", opened.number))
        closed = put(federation, opened.number, random_update("ben", opened.number))
        assert isinstance(closed, Closed)
        version = federation.close_round(closed)
        federation.rounds.end(0)
        self.on_round(opened.number, version)
        self.on_change()
        signal.raise_signal(signal.SIGTERM)
        assert self.stopped

    def stop(self) -> None:
        self.stopped = True


def serve_scripted(folder: Path, **values: Any) -> Scripted:
    made: list[Scripted] = []

    def make(*arguments: Any, **more: Any) -> Any:
        made.append(Scripted(*arguments, **more))
        return made[0]

    given = {"state": folder, "model": "conv", "codecs": "float32", "rounds": 1}
    given |= {**UNPACED, **values}
    serve(ServeSettings.parse(given), make=make)
    return made[0]


def test_it_says_where_the_federation_stands_from_beginning_to_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    service = serve_scripted(tmp_path, broker={"port": 1999}, stay=True)
    assert (service.broker.port, service.forever) == (1999, True)
    said = capfd.readouterr().err
    for sentence in (
        f"Federation chorus: conv, fedavg, round 1 of 1; everything is kept in {tmp_path}.",
        f"{tmp_path}. It begins with random weights. A device takes part with `edge-client run",
        "`edge-client run --clips DIR --port 1999 --front-end paper34` (or --mic).",
        "Round 1 waits for 2 clients, none is ready to train.",
        "Round 1 is done: 2 updates",
        "Round 1 was the last; devices fetch its model now.",
        f"Round 1 was the last: `aggregator models export --state {tmp_path}` writes its model",
    ):
        assert said.count(sentence) == 1, sentence


def test_the_commands_that_it_names_may_be_pasted_into_a_shell(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "anna's state"
    serve_scripted(state, broker={"tls": True, "ca_file": tmp_path / "the ca.crt"})
    commands = [shlex.split(text) for text in capfd.readouterr().err.split("`")[1::2]]
    assert ["aggregator", "models", "export", "--state", str(state)] in commands
    assert any("the ca.crt" in words for words in commands)


def test_with_passwords_it_says_all_that_a_device_needs_to_come_in(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {"ca_file": tmp_path / "ca.crt", "password_file": tmp_path / "aggregator.password"}
    serve_scripted(tmp_path / "state", broker={"host": "hub.local", "tls": True, **files})
    needed = "--broker hub.local --tls --ca-file ca.crt --password-file FILE"
    assert f"`edge-client run --clips DIR {needed}" in capfd.readouterr().err


def test_of_one_whose_budget_is_used_up_it_says_that_no_round_follows(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    serve_scripted(tmp_path, dp_epsilon=1000, clients_per_round=2)
    said = capfd.readouterr().err
    assert "no round follows it, as the privacy budget is used up" in said
    assert "more --rounds" not in said


def test_a_federation_that_was_stopped_says_how_to_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    serve_scripted(tmp_path, rounds=3)
    said = capfd.readouterr().err
    assert "Stopped before round 2 of 3" in said or "Stopped in round 2 of 3" in said
    assert "the same command goes on from there." in said


def test_one_that_has_ended_says_so_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    serve_scripted(tmp_path)
    capfd.readouterr()
    serve_scripted(tmp_path)
    assert "Its last round has ended." in capfd.readouterr().err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of a megabyte; only root may."""
    with mounted(tmp_path / "disk", "size=1m") as disk:
        yield disk


def test_on_a_full_disk_it_waits_for_room_says_so_once_and_goes_on(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filler, size = small_disk / "filler", 1 << 20
    filler.write_bytes(bytes(size - 4096))
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        # There is room for more and more: the lock, the ledger, the model.
        os.truncate(filler, max(0, size - 4096 - 24_576 * len(waited)))
        assert len(waited) < 60

    def make(*arguments: Any, **more: Any) -> Any:
        filler.unlink()
        return Scripted(*arguments, **more)

    given = {"state": small_disk / "state", "model": "conv", "codecs": "float32", "rounds": 1}
    given |= UNPACED
    serve(ServeSettings.parse(given), make=make, sleep=sleep)
    assert len(waited) > 2
    log = capsys.readouterr().err
    assert log.count("disk is full") == log.count("Free some space: it goes on by itself.") == 1
    assert "Round 1 was the last" in log


def test_on_a_full_disk_it_is_known_what_was_begun(small_disk: Path) -> None:
    state = small_disk / "state"
    with Federation(ServeSettings.parse({"state": state, "model": "conv"})):
        pass
    with suppress(OSError), (small_disk / "filler").open("ab") as file:
        while True:
            file.write(bytes(1024))
            file.flush()
    assert ServeSettings.parse({"state": state}).model == "conv"


def test_a_folder_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Cannot write"):
        serve_scripted(tmp_path / "file" / "state")


def test_a_signal_at_the_very_end_does_not_change_how_it_ended(tmp_path: Path) -> None:
    script = tmp_path / "late.py"
    script.write_text(
        textwrap.dedent("""
            import os, signal
            from aggregator.cli import main

            class Late:
                # Python has put the signals back to what they do by default when this runs.
                def __del__(self, kill=os.kill, own=os.getpid(), number=signal.SIGTERM):
                    kill(own, number)

            late = Late()
            main()
        """)
    )
    line = f"serve --embedded-broker --port {free_port()} --model conv --state {tmp_path}/state"
    process = subprocess.Popen(
        [sys.executable, str(script), *line.split()],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stderr
    for said in process.stderr:
        if "Connected to the broker" in said:
            break
    process.terminate()
    _, rest = process.communicate(timeout=BOUND)
    assert process.returncode == 0, rest

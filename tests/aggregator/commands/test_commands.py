"""``aggregator status`` and ``aggregator models``, beside a running federation and without one."""

import json
import re
import shlex
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from aggregator.cli import app
from aggregator.commands.tables import _megabytes, devices_table
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from aggregator.settings import AggregatorSettings
from aggregator.strategies.averaging import averaged
from shared.errors import FederationError, SettingsError
from shared.task import Task
from shared.weights import load_weights
from tests.aggregator.driver import (
    CLIENTS,
    come,
    kill,
    play,
    put,
    random_update,
    settings,
    weights_of,
)
from tests.edge_client.tiny import TINY

pytestmark = pytest.mark.usefixtures("tiny")

VALUES: dict[str, Any] = {"quorum": 4, "rounds": 8, "strategy": "fedadam", "averaging": 0.5}


@pytest.fixture
def federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Federation:
    """Play two rounds; the third is open, with one update."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("CHORUS_AGGREGATOR_STATE", str(tmp_path))
    federation = Federation(settings(tmp_path, **VALUES))
    step = come(federation)
    for _ in range(2):
        assert isinstance(step, Opened)
        step = play(federation, step)  # type: ignore[assignment] # a round opens each time
    put(federation, 3, random_update("anna", 3))
    federation.ledger.see("anna", present=True, examples=40, bytes_up=1_500_000)
    federation.ledger.refuse("mallory", "uninvited", "You are not invited.", 3, None)
    return federation


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_status_tells_everything_while_it_runs(federation: Federation) -> None:
    found = answer("status")
    assert found["federation"] == "chorus"
    assert found["run"] == federation.ledger.run
    assert Task.from_dict(found["task"]) == federation.architecture.task
    assert found["model"]["digest"] == federation.current.digest
    assert [entry["round"] for entry in found["rounds"]] == [3, 2, 1]
    assert [entry["state"] for entry in found["rounds"]] == ["open", "done", "done"]
    assert [len(entry["updates"]) for entry in found["rounds"]] == [1, 4, 4]
    assert found["rounds"][2]["base_uar"] == pytest.approx((0.75 + 1 + 0.5 + 0.75) / 4)
    open_, second, first = found["rounds"]
    assert open_["seconds"] is open_["aggregation_seconds"] is None
    for done in (first, second):
        record = federation.ledger.round(done["round"])
        assert record
        assert record.ended
        assert done["seconds"] == record.ended - record.opened
        assert done["aggregation_seconds"] == record.seconds
    assert found["updates"]["accepted"] == 9
    assert found["bytes_up"] == 1_500_000
    anna = found["clients"][0]
    assert (anna["name"], anna["present"], anna["examples"], anna["updates"]) == (
        "anna",
        True,
        40,
        3,
    )
    (client,) = [one for one in federation.ledger.clients() if one.name == "anna"]
    assert datetime.fromisoformat(anna["last_seen"]).timestamp() == pytest.approx(
        client.last_seen, abs=1
    )
    assert found["refusals"][0]["reason"] == "uninvited"


def test_nobody_is_there_when_nobody_serves_it(federation: Federation) -> None:
    assert answer("status")["served"] is True
    kill(federation)
    found = answer("status")
    assert found["served"] is False
    assert [one["present"] for one in found["clients"]] == [False] * len(found["clients"])
    out = run("status").stdout
    assert "by nobody now" in out
    assert re.search(r"anna\s+no", out)


def test_the_tables_show_it(federation: Federation) -> None:
    out = run("status").stdout
    assert federation.current.digest[:12] in out
    assert all(text in out for text in (*CLIENTS, "1 of 4", "uninvited", "0.750"))
    federation.ledger.see("anna", supply="some")
    federation.ledger.flush()
    assert re.search(r"anna\s+yes, too few", run("status").stdout)
    assert answer("status")["clients"][0]["supply"] == "some"
    assert "current" in run("models", "list").stdout
    assert federation.current.digest[:12] in run("models", "show").stdout


def test_examples_that_nobody_knows_are_not_said_to_be_none(federation: Federation) -> None:
    federation.ledger.see("zoe", present=True)  # as of a device in secure rounds
    federation.ledger.flush()
    assert re.search(r"^zoe\s+yes\s+\d+ s ago\s+-\s+0\s", run("status").stdout, re.MULTILINE)
    assert answer("status")["clients"][-1]["examples"] is None


def test_a_note_says_of_which_state_its_round_is(federation: Federation) -> None:
    ledger, remark = federation.ledger, "Examples counted up to 1 x the round's median."
    ledger.close_round(3)
    ledger.finish_round(3, federation.current, loss=None, confusion=None, seconds=1.0, note=remark)
    out = run("status").stdout
    assert re.search(rf"^3\s+done\s+{re.escape(remark)}\s*$", out, re.MULTILINE)
    assert "abandoned" not in out


def test_the_tables_are_readable_at_80_columns(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation.ledger.abandon_round(3, "rolled back to the model of round 1")
    federation.ledger.roll_back(federation.ledger.find(1))
    monkeypatch.setenv("COLUMNS", "80")
    status, models = run("status").stdout, run("models", "list").stdout
    assert max(map(len, (status + models).splitlines())) <= 80
    for row in (
        r"1\s+done\s+4 of 4\s+4\s+0\.5000\s+0\.750\s+\d+\.\d",
        r"3\s+abandoned\s+rolled back to the model of round 1",
        r"anna\s+yes\s+\d+ s ago\s+40\s+3\s+1\.5\s+0\.0",
        r"\d+ s ago\s+mallory\s+3\s+uninvited\s+You are not invited\.",
    ):
        assert re.search(rf"^{row}\s*$", status, re.MULTILINE), row
    digest = federation.ledger.find(1).digest[:12]
    for row in (
        rf"1\s+4\s+back to 2\s+{digest}\s+\d\.\d\s+current\s+\d+ s ago",
        r"2\s+3\s+version 2\s+\w{12}\s+\d\.\d\s+kept\s+\d+ s ago",
        r"0\s+1\s+the start\s+\w{12}\s+\d\.\d\s+0\.750\s+kept\s+\d+ s ago",
    ):
        assert re.search(rf"^{row}\s*$", models, re.MULTILINE), row


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[1;31m\x9b31mx\u202e\r"


def test_what_others_say_writes_nothing_to_the_terminal(
    federation: Federation, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = federation.ledger
    ledger.see(HOSTILE, present=True, software=HOSTILE, supply=HOSTILE)
    ledger.refuse(HOSTILE, HOSTILE, HOSTILE, 3, None)
    ledger.abandon_round(3, HOSTILE)
    member = {"key": "ab" * 32, "since": "2026-01-01T00:00:00+00:00", "last_seen": None}
    device = {"name": HOSTILE, "updates": 0, "uar": None, "software": HOSTILE, **member}
    shown = run("status").stdout
    Console(highlight=False, markup=False).print(devices_table([device]))
    shown += capsys.readouterr().out
    assert shown.count("owned") >= 6, "it is shown"
    assert shown.replace("\n", "").isprintable()
    assert (run("status", "--json").stdout).replace("\n", "").isprintable()


def test_what_others_say_is_shown_letter_by_letter(federation: Federation) -> None:
    federation.ledger.refuse("mallory", "uninvited", "[b]You:x:are:smile:not", 3, None)
    assert "[b]You:x:are:smile:not" in run("status").stdout


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0.0"), (6932, "0.007"), (25_752, "0.026"), (7_329_136, "7.3")]
)
def test_a_small_model_has_a_size(count: int, told: str) -> None:
    assert _megabytes(count) == told


def test_models_are_listed_with_their_scores(federation: Federation) -> None:
    listed = answer("models", "list")
    assert [entry["round"] for entry in listed] == [2, 1, 0]
    assert [entry["kept"] for entry in listed] == [True] * 3
    assert [entry["uar"] for entry in listed] == [None, 0.75, 0.75]
    assert listed[0]["digest"] == federation.current.digest


def test_ancestry_goes_back_to_the_first(federation: Federation) -> None:
    entries = answer("models", "show")
    assert [entry["version"] for entry in entries] == [3, 2, 1]
    assert [update["client"] for update in entries[0]["updates"]] == list(CLIENTS)
    assert entries[0]["updates"][0]["digest"] == federation.ledger.updates(2)[0].digest
    assert entries[0]["settings"]["strategy"] == "fedadam"
    assert entries[2]["origin"] == "initial"
    assert "updates" not in entries[2]
    assert len(answer("models", "show", "1")) == 2


def test_a_model_is_exported(federation: Federation, tmp_path: Path) -> None:
    run("models", "export", "--out", str(tmp_path / "a.safetensors"))
    run("models", "export", "2", "--raw", "--out", str(tmp_path / "b.safetensors"))
    run("models", "export", "1", "--out", str(tmp_path / "c.safetensors"))
    average, raw, first = (load_weights(tmp_path / f"{x}.safetensors", TINY) for x in "abc")
    assert (raw == weights_of(federation)).all()
    assert (average == averaged(first, raw, 0.5)).all()


def test_a_federation_is_not_written_over_by_what_it_gives(federation: Federation) -> None:
    folder = federation.folder
    for own in (folder.ledger, folder.key, federation.files.path(federation.ledger.find(0).digest)):
        content = own.read_bytes()
        for arguments in (["models", "export", "--out", str(own)], ["backup", str(own)]):
            with pytest.raises(SettingsError, match="which is read, is the same file"):
                run(*arguments)
        assert own.read_bytes() == content


def test_rollback_is_refused_while_it_runs(federation: Federation) -> None:
    with pytest.raises(FederationError, match="in use"):
        run("models", "rollback", "1")
    assert federation.ledger.current() == federation.current


def test_rollback_goes_back_and_is_remembered(federation: Federation, tmp_path: Path) -> None:
    first = federation.ledger.find(1)
    federation.close()
    run("models", "rollback", "1")
    federation = Federation(settings(tmp_path, **VALUES))
    current = federation.current
    assert (current.digest, current.round, current.origin) == (first.digest, 1, "rollback")
    assert (current.memory, current.average) == (first.memory, first.average)
    abandoned = federation.ledger.round(3)
    assert abandoned
    assert (abandoned.state, abandoned.note) == ("abandoned", "rolled back to the model of round 1")
    assert not list(federation.folder.updates.iterdir())
    opened = come(federation)
    assert opened
    assert opened.number == 4
    play(federation, opened)
    assert [v.round for v in federation.ledger.ancestry(federation.current.number)] == [4, 1, 1, 0]


def test_after_a_rollback_a_round_comes_to_what_it_would_have_then(
    federation: Federation, tmp_path: Path
) -> None:
    """Round 2 is played again as round 4, with the same updates from the same model and memory."""
    second = federation.current
    federation.close()
    run("models", "rollback", "1")
    federation = Federation(settings(tmp_path, **VALUES))
    assert come(federation)
    for client in CLIENTS:
        step = put(federation, 4, random_update(client, 2))
    assert federation.close_round(step)  # type: ignore[arg-type] # all have answered
    assert (federation.current.digest, federation.current.memory, federation.current.average) == (
        second.digest,
        second.memory,
        second.average,
    )


def test_what_is_not_there_is_said(federation: Federation, tmp_path: Path) -> None:
    for arguments in (["show", "9"], ["export", "9"], ["rollback", "9"]):
        with pytest.raises(FederationError, match="no model after round 9"):
            run("models", *arguments)
    federation.files.path(federation.ledger.find(0).digest).unlink()
    federation.close()
    with pytest.raises(FederationError, match="no longer kept"):
        run("models", "rollback", "0")
    with pytest.raises(FederationError, match="missing or damaged"):
        run("models", "export", "0", "--out", str(tmp_path / "x"))
    with pytest.raises(FederationError, match="no federation"):
        run("status", "--state", str(tmp_path / "elsewhere"))


@pytest.mark.parametrize("command", ["status", "models", "backup", "restore"])
def test_help_needs_nothing_heavy(command: str) -> None:
    script = (
        "import sys; from aggregator.cli import app; "
        f"app([{command!r}, '--help'], standalone_mode=False); "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'sqlite3', 'safetensors')))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_the_settings_of_serve_name_the_state(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHORUS_AGGREGATOR_STATE")
    config = tmp_path / "aggregator.toml"
    config.write_text(f'state = "{tmp_path}"\nquorum = 4\ntls = true\n')
    for command in (["status"], ["models", "list"], ["models", "show"]):
        assert answer(*command, "--config", str(config))
    assert answer("status", "--config", str(config))["run"] == federation.ledger.run


def test_a_list_of_codecs_is_as_good_as_their_names(tmp_path: Path) -> None:
    listed = settings(tmp_path, codecs=["int8", "float32"])
    assert listed.codecs == settings(tmp_path, codecs="int8, float32").codecs


def test_when_a_client_was_last_seen_is_told_as_people_do(federation: Federation) -> None:
    assert federation
    assert " s ago" in run("status").stdout


def test_a_backup_is_made_while_it_runs_and_put_back(
    federation: Federation, tmp_path: Path
) -> None:
    file, folder = tmp_path / "kitchen.tar", tmp_path / "second"
    assert "after round 2" in run("backup", str(file)).stderr
    said = run("restore", str(file), "--state", str(folder)).stderr
    assert f"is in {folder}, after round 2" in said
    # What it prints is enough to serve it again.
    command, *words = shlex.split(said.splitlines()[-1])
    assert (command, words.pop(0)) == ("aggregator", "serve")
    flags = (word.removeprefix("--").replace("-", "_") for word in words[::2])
    again = AggregatorSettings.parse(dict(zip(flags, words[1::2], strict=True)))
    assert again.first_change(federation.ledger.settings) is None
    assert (again.folder, again.strategy) == (folder, "fedadam")
    found = answer("status", "--state", str(folder))
    assert found["model"]["digest"] == federation.current.digest
    assert found["run"] != federation.ledger.run


@pytest.mark.usefixtures("federation")
@pytest.mark.parametrize("name", ["x[/bold].tar", "x[red].tar", "x:heart:.tar"])
def test_a_file_is_named_as_it_is_called(tmp_path: Path, name: str) -> None:
    file, model = tmp_path / name, tmp_path / f"{name}.safetensors"
    for made, words in ((file, ("backup", file)), (model, ("models", "export", "--out", model))):
        result = run(*map(str, words))
        assert result.exit_code == 0
        assert f"is in {made}." in result.stderr
    result = run("restore", str(file), "--state", str(tmp_path / "state[/]:heart:"))
    assert f"is in {tmp_path}/state[/]:heart:," in result.stderr

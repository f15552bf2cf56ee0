"""The units, the compose file and the device's script, as far as a machine without them tells."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from aggregator.server.settings import ServeSettings
from edge_client.settings import RunSettings
from shared.settings import places
from tests.brokers import BOUND
from tests.deploy.page import PAGE, lines_of

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SCRIPTS = sorted(
    file
    for folder in (DEPLOY, DEPLOY.parent / "scripts")
    for file in folder.rglob("*")
    if file.is_file() and file.read_bytes().startswith(b"#!/bin/sh")
)

LINES = lines_of(PAGE)
LINK = "chorus://hub.local:8883/chorus/kitchen#AQKF"
FIRST = ("--broker", "hub.local", "--ca", "ca.crt", "--password", "secret", "--dry-run")


def run(
    folder: Path, *words: str | Path, check: bool = False
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=BOUND, check=check
    )


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is missing")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_are_valid_and_hardened(unit: Path, tmp_path: Path) -> None:
    needs("systemd-analyze")
    # The program it starts is not installed here.
    copy = tmp_path / unit.name
    lines = unit.read_text().splitlines()
    started = [line for line in lines if line.startswith("ExecStart=/opt/chorus/bin/")]
    assert len(started) == 1
    copy.write_text("\n".join(lines).replace(started[0], "ExecStart=/bin/true"))
    verified = run(tmp_path, "systemd-analyze", "verify", copy)
    assert (verified.returncode, verified.stderr) == (0, "")
    # Of 100; 50 is where systemd begins to speak of medium exposure.
    judged = run(tmp_path, "systemd-analyze", "security", "--offline=yes", "--threshold=20", copy)
    assert judged.returncode == 0, judged.stdout.splitlines()[-1]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_units_have_to_say_reaches_the_journal(unit: Path) -> None:
    said = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    # Where nothing is said, errors go where the output goes.
    assert said.get("StandardError", said.get("StandardOutput", "journal")) == "journal"


def test_the_unit_of_several_is_that_of_one_but_for_names() -> None:
    one, several = (
        (DEPLOY / "systemd" / f"chorus-aggregator{name}.service").read_text().splitlines()
        for name in ("", "@")
    )
    changed = set(several) - set(one)
    assert set(one) - set(several) == {
        line.replace(" of %i", "").replace("aggregators/%i", "aggregator")
        for line in changed
        if not line.startswith("#")
    } | {one[0]}
    assert len(changed) == 6, "two comments, description, folder, variable, settings"


def composed(folder: Path) -> str:
    """Show what the compose file in a folder comes to."""
    command = ["docker-compose"]
    if shutil.which("docker-compose") is None:
        needs("docker")
        command = ["docker", "compose"]
        if run(DEPLOY, *command, "version").returncode:
            pytest.skip("docker compose is missing")
    shown = run(folder, *command, "--profile", "device", "config")
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_the_compose_file_is_valid() -> None:
    shown = composed(DEPLOY)
    for service in ("mosquitto:", "aggregator:", "edge-client:"):
        assert service in shown


def test_containers_may_read_the_passwords_in_every_later_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHORUS_USER", raising=False)
    deploy = tmp_path / "deploy"
    clients = deploy / "credentials" / "clients"
    clients.mkdir(parents=True)
    shutil.copy(DEPLOY / "compose.yaml", deploy)
    if os.geteuid() == 0:
        os.chown(clients, 1234, 567)
    (line,) = (line for line in LINES if "CHORUS_USER=" in line)
    # The folder that the line names is of this user.
    run(deploy, "sh", "-ec", line.replace("sudo ", ""), check=True)
    owner = clients.stat()
    shown = composed(deploy)
    assert shown.count(f"user: {owner.st_uid}:{owner.st_gid}\n") == 2


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "ca.crt").write_text("certificate")
    (tmp_path / "secret").write_text("password")
    return tmp_path


def install(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    needs("apt-get")
    return run(folder, DEPLOY / "install-device.sh", "--package", "chorus-edge", *words)


@pytest.fixture
def device(files: Path) -> Path:
    """Make what an installed device has in ``etc``, and an empty ``opt``."""
    (files / "etc" / "chorus").mkdir(parents=True)
    (files / "etc" / "chorus" / "edge-client.toml").write_text('client = "kitchen"')
    (files / "opt").mkdir()
    return files


def install_again(device: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the script where the folders of a device are the machine's."""
    needs("apt-get")
    needs("unshare")
    apart = ("unshare", "--map-root-user", "--mount")
    if run(device, *apart, "true").returncode:
        pytest.skip("this user may make no namespace")
    mount = 'mount --bind etc /etc; mount --bind opt /opt; exec "$@"'
    script = (DEPLOY / "install-device.sh", "--package", "chorus-edge", "--dry-run")
    return run(device, *apart, "sh", "-ec", mount, "sh", *script, *words)


@pytest.mark.parametrize(
    "words",
    [
        FIRST,
        ("--broker", "new.local"),
        ("--name", "desk"),
        ("--federation", "chorus"),
        ("--ca", "ca.crt"),
        ("--password", "secret"),
    ],
)
def test_settings_that_are_there_are_not_given_again(device: Path, words: tuple[str, ...]) -> None:
    said = install_again(device, *words)
    assert said.returncode == 2
    assert "/etc/chorus/edge-client.toml is there" in said.stderr
    assert said.stdout == ""


def test_a_second_run_leaves_settings_alone(device: Path) -> None:
    said = install_again(device)
    assert said.returncode == 0, said.stderr
    assert "/etc/chorus" not in said.stdout
    joined = install_again(device, "--join", LINK)
    assert "edge-client join" in joined.stdout, joined.stderr


@pytest.mark.parametrize("whose", ["gone", "another", "good"])
def test_an_environment_that_does_not_run_is_made_anew(device: Path, whose: str) -> None:
    """An upgrade of the system takes its Python away, or brings one that knows no pip of before."""
    place = device / "opt" / "chorus" / "bin"
    place.mkdir(parents=True)
    (place / "python3").symlink_to("/nowhere/python3.11" if whose == "gone" else "/bin/sh")
    (place / "pip").write_text(f"#!/opt/chorus/bin/python3\nexit {int(whose == 'another')}\n")
    (place / "pip").chmod(0o755)
    said = install_again(device)
    assert said.returncode == 0, said.stderr
    anew = "would run: python3 -m venv --clear /opt/chorus" in said.stdout
    assert anew == (whose != "good")


def test_a_dry_run_says_all_and_does_nothing(files: Path) -> None:
    places = [Path("/etc/chorus"), Path("/opt/chorus")]
    before = [place.exists() for place in places]
    said = install(files, *FIRST, "--name", "kitchen")
    assert said.returncode == 0, said.stderr
    assert all(line.startswith("would ") for line in said.stdout.splitlines())
    for part in ("libportaudio2", "/opt/chorus", "edge-client.toml", "systemctl enable"):
        assert part in said.stdout
    assert [place.exists() for place in places] == before


def test_a_link_is_all_that_a_device_needs(files: Path) -> None:
    said = install(files, "--dry-run", "--join", LINK)
    assert said.returncode == 0, said.stderr
    assert f"would run: /opt/chorus/bin/edge-client join {LINK}" in said.stdout
    assert "edge-client.toml" not in said.stdout, "the link's command writes the settings"
    without = install(files, "--dry-run", "--without-service", "--join", LINK)
    assert "edge-client join" not in without.stdout
    assert "edge-client join" in without.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--join", "chorus://hub.local:8883/chorus/kitchen"], "no link"),
        ([*FIRST, "--join", LINK], "leave out"),
        (["--name", "kitchen", "--join", LINK], "leave out"),
        (["--federation", "home", "--join", LINK], "leave out"),
        (["--what"], "no option"),
        (["--broker"], "needs a value"),
        ([*FIRST, "--name", "Kitchen!"], "cannot be a name"),
        ([*FIRST, "--broker", 'a"'], "not a host name"),
        ([*FIRST, "--ca", "missing"], "no file missing"),
        ([*FIRST, "--ca", "."], "no file . to read"),
        ([*FIRST, "--password", "/dev/null"], "no file /dev/null to read"),
        ([], "first time"),
    ],
)
def test_a_mistake_is_said_in_one_line(files: Path, words: list[str], said: str) -> None:
    # Without it, a mistake that is not found is installed on this machine.
    made = install(files, "--dry-run", *words)
    assert made.returncode == 2
    assert said in made.stderr
    assert made.stdout == ""


def test_the_settings_it_writes_are_toml() -> None:
    script = (DEPLOY / "install-device.sh").read_text()
    written = script.split("<<END\n")[1].split("\nEND\n")[0]
    settings = tomllib.loads(written.replace("\\`", "`"))
    assert settings["broker"]["tls"] is True
    assert set(settings) >= {"client", "federation", "broker"}
    assert set(settings["broker"]) >= {"host", "ca_file", "password_file"}
    filled = {"client": "kitchen", "federation": "chorus"}
    RunSettings.parse({**settings, **filled, "mic": True})


def test_every_variable_is_one_of_its_program() -> None:
    known = {
        settings.variable(name)
        for settings in (RunSettings, ServeSettings)
        for name in places(settings)
    }
    # What compose itself reads: whose files these are, and which device this is.
    known |= {"CHORUS_USER", "CHORUS_DEVICE"}
    files = (*UNITS, DEPLOY / "compose.yaml", DEPLOY / "Dockerfile")
    named = {name for file in files for name in re.findall(r"CHORUS_[A-Z_]+", file.read_text())}
    assert named <= known
    assert {"CHORUS_EDGE_STATE", "CHORUS_AGGREGATOR_STATE", "CHORUS_EDGE_BROKER"} <= named


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_portable(script: Path) -> None:
    run(DEPLOY, "sh", "-n", script, check=True)
    needs("shellcheck")
    found = run(DEPLOY, "shellcheck", script)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_go_nowhere_else_for_a_shell_s_cdpath(script: Path) -> None:
    """Where it is exported, `cd NAME` may lead to another NAME, and prints where."""
    code = [line.partition("#")[0] for line in script.read_text().splitlines()]
    goes = [number for number, line in enumerate(code) if re.search(r"\bcd ", line)]
    assert not goes or "unset CDPATH" in code[: goes[0]]

"""What docs/deploy.md tells to type is there: commands, options, scripts, settings, packages."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from aggregator.broker import bounds, retained
from aggregator.broker.packets import MOST_FILTERS
from aggregator.server.settings import ServeSettings
from tests.deploy.page import PAGE, ROOT, lines_of, part, words_after
from tests.fork_server import BIN

LINES = lines_of(PAGE)
OURS = [line for line in LINES if re.search(r"bin/(aggregator|edge-client) ", line)]
SCRIPTS = [line for line in LINES if re.search(r"(install-device|make-credentials)\.sh", line)]


def options(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


@pytest.mark.parametrize("line", OURS)
def test_commands_have_the_options_that_they_are_given(line: str) -> None:
    program = "aggregator" if "bin/aggregator" in line else "edge-client"
    words = words_after(line, program)
    named = words[:2] if words[0] in ("keys", "models", "examples") else words[:1]
    shown = subprocess.run(
        [BIN / program, *named, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"},
    )
    assert shown.returncode == 0, shown.stderr
    assert f"{program} {' '.join(named)}" in " ".join(shown.stdout.split())
    for option in options(words):
        assert option in shown.stdout


@pytest.mark.parametrize("line", SCRIPTS)
def test_scripts_have_the_options_that_they_are_given(line: str) -> None:
    name = "install-device.sh" if "install-device" in line else "make-credentials.sh"
    (script,) = (ROOT / "deploy").rglob(name)
    known = set(re.findall(r"--[a-z-]+", script.read_text().partition("set -eu")[0]))
    assert options(words_after(line, name)) <= known


def test_the_bounds_of_the_embedded_broker_are_those_of_the_code() -> None:
    told = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", PAGE, re.MULTILINE))
    for what, bound in {
        "clients": f"{bounds.MOST_SESSIONS}",
        "connections that have not said who they are": (
            f"{bounds.MOST_STRANGERS}, for {bounds.CONNECT_SECONDS:g} s"
        ),
        "what waits for one client": f"{bounds.MOST_WAITING >> 20} MiB",
        "a client that takes nothing of it": f"{bounds.STUCK_SECONDS:g} s",
        "all that waits, or has not come whole": f"{bounds.MOST_HELD >> 20} MiB",
        "retained messages": f"{retained.MOST >> 20} MiB",
        "topics that a client hears": f"{MOST_FILTERS:,}",
    }.items():
        assert told[what] == bound, what


def test_settings_of_the_aggregator_are_some() -> None:
    found = re.findall(r"aggregator\.toml <<END\n(.*?)^END$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == 2
    for text in found:
        ServeSettings.parse(tomllib.loads(text))


def test_files_that_are_copied_are_there() -> None:
    for place in re.findall(r"\bdeploy/[a-z/.@-]*[a-z]", "\n".join(LINES)):
        assert (ROOT / place).exists(), place


def test_what_the_steps_use_is_installed_by_them_before() -> None:
    whole = "\n".join(LINES)
    for package, program in (("mosquitto-clients", "mosquitto_sub"), ("mosquitto ", "mosquitto_c")):
        assert -1 < whole.index(package) < whole.index(program)
    assert whole.index("python3-venv") < whole.index("make wheel")


def test_what_only_root_can_read_is_named_by_root() -> None:
    """A shell of somebody else finds nothing there for a pattern."""
    for line in LINES:
        assert "*" not in line or "/root/" not in line or " sh -c '" in line or line[0] == "#", line


def test_a_backup_is_put_back_by_who_may_write_beside_the_folder() -> None:
    (line,) = (line for line in LINES if "bin/aggregator restore" in line)
    assert line.startswith("sudo /opt/")
    assert LINES[LINES.index(line) + 1].startswith("sudo chown -R chorus:chorus")


def test_credentials_that_are_copied_are_made_by_the_lines_before(tmp_path: Path) -> None:
    for program in ("openssl", "mosquitto_passwd"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing")
    # The page says to name the devices behind the folder.
    named = PAGE.replace("192.168.1.10 /root/chorus\n", "192.168.1.10 /root/chorus kitchen\n")
    before = lines_of(named[: named.index("## 6.")])
    for line in before:
        if " deploy/mosquitto/make-credentials.sh" in line:
            words = words_after(line, "make-credentials.sh")
            script = ROOT / "deploy" / "mosquitto" / "make-credentials.sh"
            folder = [str(tmp_path) if word == "/root/chorus" else word for word in words]
            subprocess.run([script, *folder], check=True, capture_output=True)
    copied = set(re.findall(r"/root/chorus(/clients/[\w.-]+)", "\n".join(before)))
    assert len(copied) == 4
    for name in copied:
        assert (tmp_path / name.lstrip("/")).exists(), name


def test_a_device_on_the_server_does_not_take_the_aggregator_s_files() -> None:
    """A small household has both on one machine."""
    script = (ROOT / "deploy" / "install-device.sh").read_text()
    of_the_device = set(re.findall(r"put (/etc/chorus/[\w.-]+)", script)) - {"/etc/chorus/ca.crt"}
    assert of_the_device
    written = re.findall(r"(?:install|tee) .*?(/etc/chorus/\S+)$", "\n".join(LINES), re.MULTILINE)
    assert not of_the_device & set(written)


def test_a_device_finds_what_it_was_brought_where_the_page_says_to_copy_it(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is missing")
    text = part("Devices with passwords")
    (line,) = (line for line in lines_of(text) if "install-device.sh" in line)
    deploy = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", deploy)
    place = deploy if "into `deploy/`" in " ".join(text.split()) else tmp_path
    for name in ("ca.crt", "chorus_kitchen.password"):
        (place / name).touch()
    words = [*words_after(line, "install-device.sh"), "--package", "chorus-edge", "--dry-run"]
    made = subprocess.run(
        ["./install-device.sh", *words], cwd=deploy, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


def test_an_upgrade_is_for_every_unit_of_an_aggregator() -> None:
    text = part("10. Upgrade")
    for unit in (ROOT / "deploy" / "systemd").glob("chorus-aggregator*"):
        assert f" deploy/systemd/{unit.name} " in text
    restarted = re.findall(r"systemctl restart (\S+)", text)
    assert set(restarted) == {"'chorus-aggregator*'"}


def test_who_renews_a_certificate_is_told_which_links_it_spoils() -> None:
    assert "links that were not used yet" in " ".join(
        part("7. Renewing certificates and keys").partition("keys rotate")[0].split()
    )

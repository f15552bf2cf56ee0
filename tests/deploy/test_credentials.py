"""What ``make-credentials.sh`` leaves behind, whoever typed what and whenever it was stopped."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from tests.brokers import leave_out_without_mosquitto
from tests.deployed import make_credentials

STEPS = ("mv", "rm")
"""What puts files in place, and takes them away."""


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def two_federations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make credentials of two federations, both of which have a desk: once for all."""
    leave_out_without_mosquitto()
    folder = tmp_path_factory.mktemp("credentials")
    for words in (
        ("--host", "a.test", "c", "kitchen", "desk"),
        ("--federation", "office", "c", "desk", "hall"),
    ):
        made = make_credentials(folder, *words)
        assert made.returncode == 0, made.stderr
    return folder / "c"


@pytest.fixture
def folder(two_federations: Path, tmp_path: Path) -> Path:
    """Copy them for a test to change."""
    return shutil.copytree(two_federations, tmp_path / "c")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["c", "kitchne"], 'no device "kitchne" in chorus, nor in another federation'),
        (["c", "kitchen", "hall"], 'no device "hall" in chorus, but in office: say which'),
        (["--federation", "garden", "c", "desk"], "in garden, but in chorus, office: say which"),
        (["--federation", "off", "c", "desk"], "in off, but in chorus, office: say which"),
    ],
)
def test_nobody_is_revoked_where_one_of_the_names_is_not_there(
    folder: Path, words: list[str], said: str
) -> None:
    before = contents(folder)
    revoked = make_credentials(folder.parent, "--revoke", *words)
    assert revoked.returncode == 2
    assert said in revoked.stderr
    assert "took" not in revoked.stderr
    assert contents(folder) == before


def test_several_are_revoked_in_their_federation_alone(folder: Path) -> None:
    revoked = make_credentials(folder.parent, "--revoke", "c", "desk", "kitchen", "desk")
    assert revoked.returncode == 0, revoked.stderr
    left = (folder / "broker" / "passwords").read_text().split()
    users = {line.partition(":")[0] for line in left}
    assert users == {"chorus_chorus-aggregator"} | {
        f"office_{name}" for name in ("office-aggregator", "desk", "hall")
    }
    assert {f"{user}.password" for user in users} == {
        path.name for path in (folder / "clients").glob("*.password")
    }


def users_in(folder: Path) -> set[str]:
    """Read whom the broker knows, having looked that all that belongs together is there."""
    broker = folder / "broker"
    authority, certificate = (
        load_pem_x509_certificate((broker / f"{name}.crt").read_bytes())
        for name in ("ca", "server")
    )
    certificate.verify_directly_issued_by(authority)
    for place, of in ((folder / "ca.key", authority), (broker / "server.key", certificate)):
        key = load_pem_private_key(place.read_bytes(), None)
        assert key.public_key() == of.public_key(), place
    assert (folder / "clients" / "ca.crt").read_bytes() == (broker / "ca.crt").read_bytes()
    users = {line.partition(":")[0] for line in (broker / "passwords").read_text().splitlines()}
    rules = (broker / "acl").read_text().splitlines()
    assert users == {line.removeprefix("user ") for line in rules if line.startswith("user ")}
    assert users == {path.stem for path in (folder / "clients").glob("*.password")}
    assert not list(folder.glob(".making-*"))
    return users


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], None]:
    """Give what lets a run be stopped by a signal, right after so many steps; 0 for never."""
    programs, left = tmp_path / "programs", tmp_path / "left"
    programs.mkdir()
    for step in STEPS:
        (programs / step).write_text(
            f'#!/bin/sh\ncommand -p {step} "$@"\nread -r left signal <"{left}"\n'
            f'echo "$((left - 1)) $signal" >"{left}"\n[ "$left" != 1 ] || kill "-$signal" "$PPID"\n'
        )
        (programs / step).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def stop(steps: int, signal: str) -> None:
        left.write_text(f"{steps} {signal}\n")

    return stop


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ((), ("--host", "a.test", "c", "one", "two")),
        (("--host", "a.test", "c", "one"), ("--renew", "--host", "b.test", "c", "one", "two")),
        (("--host", "a.test", "c", "one", "two", "three"), ("--revoke", "c", "three")),
    ],
    ids=("made", "renewed", "revoked"),
)
def test_what_a_killed_run_has_begun_is_finished_by_the_same_command(
    tmp_path: Path,
    needs_mosquitto: None,
    stopped: Callable[[int, str], None],
    before: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    assert needs_mosquitto is None
    start = tmp_path / "start" / "c"
    start.mkdir(parents=True)
    stopped(0, "KILL")
    assert not before or make_credentials(start.parent, *before).returncode == 0
    for steps in count(1):
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
        shutil.copytree(start, tmp_path / "c")
        stopped(steps, "KILL")
        if make_credentials(tmp_path, *words).returncode == 0:
            break
        stopped(0, "KILL")
        again = make_credentials(tmp_path, *words)
        assert again.returncode == 0 or "no device" in again.stderr, (steps, again.stderr)
        expected = {f"chorus_{name}" for name in ("chorus-aggregator", "one", "two")}
        assert users_in(tmp_path / "c") == expected, steps
    assert steps > 6


def test_a_run_that_is_asked_to_stop_leaves_no_secret(
    folder: Path, stopped: Callable[[int, str], None]
) -> None:
    for signal in ("HUP", "INT", "TERM"):
        stopped(3, signal)
        assert make_credentials(folder.parent, "--renew", "c").returncode == 130
        assert not list(folder.glob(".making-*"))


def test_a_key_of_an_authority_that_nobody_knows_yet_is_used(folder: Path) -> None:
    """Earlier versions left it so when they were stopped."""
    key = (folder / "ca.key").read_bytes()
    shutil.rmtree(folder / "broker")
    shutil.rmtree(folder / "clients")
    assert make_credentials(folder.parent, "--host", "a.test", "c").returncode == 0
    assert users_in(folder) == {"chorus_chorus-aggregator"}
    assert (folder / "ca.key").read_bytes() == key


@pytest.mark.parametrize("lost", [("ca.key",), ("broker/ca.crt",), ("ca.key", "broker/ca.crt")])
def test_an_authority_that_has_signed_is_not_made_anew(folder: Path, lost: tuple[str, ...]) -> None:
    for name in lost:
        (folder / name).unlink()
    before = contents(folder)
    made = make_credentials(folder.parent, "c", "attic")
    assert made.returncode == 2
    assert "bring back what is missing" in made.stderr
    assert contents(folder) == before


def test_runs_at_once_do_not_undo_each_other(tmp_path: Path, needs_mosquitto: None) -> None:
    assert needs_mosquitto is None
    names = [f"device{number}" for number in range(6)]
    with ThreadPoolExecutor(len(names)) as pool:
        run = partial(make_credentials, tmp_path, "--host", "a.test", "c")
        made = list(pool.map(run, names))
    assert [one.returncode for one in made] == [0] * len(names), [one.stderr for one in made]
    assert users_in(tmp_path / "c") == {f"chorus_{name}" for name in (*names, "chorus-aggregator")}


def test_credentials_are_made_in_the_folder_that_is_named_whatever_cdpath_says(
    tmp_path: Path, needs_mosquitto: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needs_mosquitto is None
    other = tmp_path / "other"
    (other / "c").mkdir(parents=True)
    monkeypatch.setenv("CDPATH", str(other))
    assert make_credentials(tmp_path, "--host", "a.test", "c").returncode == 0
    assert users_in(tmp_path / "c")
    assert not list((other / "c").iterdir())

"""What ``make-credentials.sh`` leaves behind, whoever typed what and whenever it was stopped."""

from pathlib import Path

import pytest

from tests.deployed import make_credentials


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path, needs_mosquitto: None) -> Path:
    """Make credentials of two federations, both of which have a desk."""
    assert needs_mosquitto is None
    for words in (
        ("--host", "a.test", "c", "kitchen", "desk"),
        ("--federation", "office", "c", "desk", "hall"),
    ):
        made = make_credentials(tmp_path, *words)
        assert made.returncode == 0, made.stderr
    return tmp_path / "c"


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

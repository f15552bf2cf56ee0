"""What joining and leaving write into a person's settings file, and what a service's user gets."""

import os
import pwd
import stat
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edge_client.enrolment.settling import Host, write_settings
from shared.errors import SettingsError, StorageError

FILE = """\
# Anna's device.
federation = "old"  # as Ben said
mic = true

# The machine in the attic.
[broker]
host = "attic"  # not the one in the cellar
port = 1885

[home_assistant]
host = "hub"  # another one
"""

JOINED = {
    "federation": "new",
    "client": "kitchen",
    "broker": {"host": "cellar", "tls": True},
    "offline": None,
}

LEFT = {"federation": None, "client": None, "broker": None, "offline": True}


def test_comments_of_a_settings_file_outlive_joining(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(FILE)
    write_settings(path, JOINED)
    assert path.read_text() == (
        'client = "kitchen"\n'
        + FILE.replace('"old"', '"new"')
        .replace('"attic"', '"cellar"')
        .replace("port = 1885", "tls = true")
    )


def test_comments_of_a_settings_file_outlive_leaving(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(FILE)
    write_settings(path, LEFT)
    assert path.read_text() == (
        "offline = true\n# Anna's device.\nmic = true\n\n# The machine in the attic.\n"
        '[home_assistant]\nhost = "hub"  # another one\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mic = true",
        'broker.host = "attic"\nmic = true\n',
        'broker = {host = "attic"}\r\nmic = true\r\n',
        '[home_assistant]\nhost = "hub"',
        '[broker]\nhost = "attic"\n[home_assistant]\nhost = "hub"\n[broker.more]\na = 1\n',
        '[broker.z]\nx = 1\n[a]\nb = 1\n[broker]\nhost = "attic"\n',
        "[broker]\n[a]\n[broker.more]\n",
        'broker.port = 1\nmic = true\nbroker.host = "attic"\n"broker".tls = true\n',
        '\ufeff# Anna\noffline = true\nname = "süß"\n',
    ],
)
@pytest.mark.parametrize("values", [JOINED, LEFT])
def test_however_a_file_is_written_the_settings_are_those(
    text: str, values: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text, "utf-8", newline="")
    expected = {**tomllib.loads(text.removeprefix("\ufeff")), **values}
    write_settings(path, values)
    found = tomllib.loads(path.read_text("utf-8"))
    assert found == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize("text", ["mic = ", f"mic = {200 * '['}{200 * ']'}"])
def test_a_file_that_is_no_toml_or_too_deep_stays_and_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"Cannot read the settings file .*device\.toml"):
        write_settings(path, JOINED)
    assert path.read_text() == text


def test_a_name_that_is_no_text_is_one_sentence_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(FILE)
    with pytest.raises(SettingsError, match="cannot be written down"):
        write_settings(path, {"broker": {"ca": "\udcff.crt"}})
    assert path.read_text() == FILE


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_who_may_read_a_settings_file_stays_so(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(FILE)
    path.chmod(mode)
    write_settings(path, JOINED)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_settings_file_may_be_read_by_all(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    write_settings(path, JOINED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_link_to_a_settings_file_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "settings" / "device.toml", tmp_path / "link"
    path.parent.mkdir()
    link.symlink_to(Path("settings", "device.toml"))
    for _ in range(2):  # it leads nowhere at first
        write_settings(link, JOINED)
        assert link.is_symlink()
        assert tomllib.loads(path.read_text())["client"] == "kitchen"


def test_a_link_to_itself_makes_way_for_a_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.symlink_to(path)
    write_settings(path, JOINED)
    assert tomllib.loads(path.read_text())["client"] == "kitchen"


root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
HOST = Host(user="nobody")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a service's state folder, and a secret of root's beside it."""
    (tmp_path / "state" / "memberships").mkdir(parents=True)
    (tmp_path / "state" / "memberships" / "key.pem").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").touch()
    return tmp_path / "state"


def of_user(*paths: Path) -> bool:
    return {path.lstat().st_uid for path in paths} == {pwd.getpwnam(HOST.user).pw_uid}


@root
def test_a_settings_file_stays_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(FILE)
    os.chown(path, pwd.getpwnam(HOST.user).pw_uid, -1)
    write_settings(path, JOINED)
    assert of_user(path)


@root
def test_a_device_with_a_state_or_settings_of_its_own_is_not_the_service(tmp_path: Path) -> None:
    host = Host(unit=tmp_path / "unit", state=tmp_path / "state", config=tmp_path / "device.toml")
    host.unit.touch()
    host.config.touch()
    link, other = tmp_path / "link.toml", tmp_path / "other.toml"
    link.symlink_to(host.config)
    for state, config in ((None, other), (tmp_path, None), (tmp_path, host.config)):
        service, folder, settings = host.places(state, config)
        assert not service
        assert folder != host.state
        assert settings == (config or tmp_path / "edge-client.toml")
    for config in (None, host.config, link):
        assert host.places(None, config) == (True, host.state, host.config)


@root
def test_the_folder_of_a_service_and_what_is_in_it_are_its_users(folder: Path) -> None:
    HOST.hand_over(folder)
    assert of_user(folder, *folder.rglob("*"))


@root
def test_a_folder_that_root_has_put_elsewhere_is_its_users(folder: Path) -> None:
    link = folder.with_name("link")
    link.symlink_to(folder)
    HOST.hand_over(link)
    assert of_user(folder, *folder.rglob("*"))


@root
@pytest.mark.parametrize(
    "put",
    [
        lambda path, elsewhere: path.symlink_to(elsewhere / "secret"),
        lambda path, elsewhere: path.hardlink_to(elsewhere / "secret"),
        lambda path, elsewhere: path.symlink_to(elsewhere),
        lambda path, elsewhere: path.symlink_to(elsewhere / "nothing"),
        lambda path, _: os.mkfifo(path),
    ],
)
def test_what_links_in_the_folder_lead_to_stays_whose_it_is(
    put: Callable[[Path, Path], object], folder: Path
) -> None:
    elsewhere = folder.with_name("elsewhere")
    put(folder / "memberships" / "a", elsewhere)
    HOST.hand_over(folder)
    assert (elsewhere.stat().st_uid, (elsewhere / "secret").stat().st_uid) == (0, 0)
    assert of_user(folder / "memberships" / "key.pem")


@root
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_what_becomes_a_link_meanwhile_leads_nowhere(
    link: Callable[[Path, Path], object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, key = folder.with_name("elsewhere") / "secret", folder / "memberships" / "key.pem"
    look = os.stat

    def looked(path: Any, **how: Any) -> os.stat_result:
        found = look(path, **how)
        if path == key.name:
            key.unlink()
            link(key, secret)
        return found

    monkeypatch.setattr(os, "stat", looked)
    with suppress(StorageError):  # it may say so
        HOST.hand_over(folder)
    assert key.samefile(secret)
    assert secret.stat().st_uid == 0


@root
def test_a_file_that_goes_meanwhile_is_no_matter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = os.fwalk

    def walked(**where: Any) -> Iterator[Any]:
        for step in walk(**where):
            (folder / "memberships" / "key.pem").unlink(missing_ok=True)
            yield step

    monkeypatch.setattr(os, "fwalk", walked)
    HOST.hand_over(folder)
    assert of_user(folder / "memberships")

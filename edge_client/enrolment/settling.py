"""What is done on a device that has joined: its settings, and the service that goes by them."""

import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomlkit
import tomlkit.exceptions
from tomlkit.items import AbstractTable

from edge_client.device.settings import DeviceSettings
from shared.errors import MissingPartError, SettingsError
from shared.settings_file import read_toml_text, toml_of
from shared.storage.files import replacing, storage_errors
from shared.storage.owners import give_tree

SERVICE: Final = "chorus-edge-client"
"""The unit of ``deploy/systemd``."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where a device's service is on this machine, if there is one.

    Attributes
    ----------
    unit
        The service's unit.
    state, config
        Where the unit has the device's state and settings.
    user
        Whom it runs as.
    systemd
        A folder that is there while systemd runs.
    """

    unit: Path = Path("/etc/systemd/system", f"{SERVICE}.service")
    state: Path = Path("/var/lib/chorus")
    config: Path = Path("/etc/chorus/edge-client.toml")
    user: str = "chorus"
    systemd: Path = Path("/run/systemd/system")

    @property
    def has_service(self) -> bool:
        """Whether the device is to be a service: it is installed as one, and this is root."""
        return os.geteuid() == 0 and self.unit.exists()

    def places(self, state: Path | None, config: Path | None) -> tuple[bool, Path, Path]:
        """Say whether the device is the service, and where its state and its settings are.

        Parameters
        ----------
        state, config
            Where they were said to be; a device with a state or settings of its own is not the
            service, as the unit names both.
        """
        own = config is not None and os.path.realpath(config) != os.path.realpath(self.config)
        if state is None and not own and self.has_service:
            return True, self.state, self.config
        folder = DeviceSettings.parse({"state": state}).folder
        return False, folder, config or folder / "edge-client.toml"

    def hand_over(self, folder: Path) -> None:
        """Let the service's user have a folder, and the folders and files in it.

        The user may have put anything there before. What a link leads to is not given away.

        Raises
        ------
        StorageError
            If it cannot be given to it.
        MissingPartError
            If there is no such user.
        """
        try:
            entry = pwd.getpwnam(self.user)
        except KeyError as error:
            raise MissingPartError(
                f"There is no user {self.user}, as whom the service {SERVICE} runs.",
                "Run deploy/install-device.sh.",
            ) from error
        with storage_errors(folder):
            # Root says where the folder is, and may have put it elsewhere by a link.
            give_tree(folder.resolve(), lambda handle: os.chown(handle, entry.pw_uid, entry.pw_gid))

    def start(self, run: Callable[[Sequence[str]], int]) -> bool:
        """Start the service, or start it anew; say whether there is a systemd to do so.

        Parameters
        ----------
        run
            Runs a command and gives its exit code.

        Raises
        ------
        MissingPartError
            If it does not start.
        """
        if not self.systemd.is_dir():
            return False
        for words in (["enable", SERVICE], ["restart", SERVICE]):
            if run(["systemctl", *words]):
                raise MissingPartError(
                    f"The device has joined, but its service {SERVICE} does not start.",
                    f"Look at `journalctl -u {SERVICE}`.",
                )
        return True


def run_command(words: Sequence[str]) -> int:
    """Run a command of the system; give its exit code."""
    return subprocess.run(words, check=False).returncode  # noqa: S603 -- our own words


def changed_settings(path: Path, values: Mapping[str, Any]) -> str:
    """Give a TOML file's text with other settings; all else stays as it is, comments too.

    Those that are ``None`` are taken out.

    Raises
    ------
    SettingsError
        If what is there is no TOML, or a setting cannot be written down.
    """
    before = read_toml_text(path) if path.exists() else ""
    try:
        return _edited(before, values)
    except (tomlkit.exceptions.TOMLKitError, RecursionError) as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error}.") from error


def write_settings(path: Path, values: Mapping[str, Any]) -> None:
    """Write settings into a TOML file, as :func:`changed_settings` changes it.

    The file stays whose it was, for the same people to read; where a link leads to it, it stays
    where it is.

    Raises
    ------
    SettingsError
        If what is there is no TOML, or a setting cannot be written down.
    StorageError
        If it cannot be written.
    """
    after = changed_settings(path, values)
    path = Path(os.path.realpath(path))  # takes a link to itself as it is, too
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    with replacing(path, mode) as aside:
        aside.write_text(after, "utf-8")


def _edited(text: str, values: Mapping[str, Any]) -> str:
    """Change settings in a file's text; new ones come first, and new tables last."""
    # Says in our words what cannot be written down.
    toml_of({name: value for name, value in values.items() if value is not None})
    document = tomlkit.parse(text)
    new: dict[str, Any] = {}
    for name, value in values.items():
        kept = document.get(name)
        if value is None:
            document.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(kept, AbstractTable):
            for gone in kept.keys() - value.keys():
                del kept[gone]
            kept.update(value)
        elif kept is None and not isinstance(value, Mapping):
            new[name] = value
        elif isinstance(kept, MutableMapping):  # a table that is written in several places
            document.pop(name)
            document[name] = value
        else:
            document[name] = value
    return toml_of(new) + tomlkit.dumps(document)

"""What is done on a device that has joined: its settings, and the service that goes by them."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_client.device.settings import DeviceSettings
from shared.errors import MissingPartError, SettingsError
from shared.settings_file import read_toml_text, toml_of
from shared.storage.files import replacing, storage_errors

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
            Where they were said to be; a device with a state of its own is not the service.
        """
        if state is None and self.has_service:
            return True, self.state, config or self.config
        folder = DeviceSettings.parse({"state": state}).folder
        return False, folder, config or folder / "edge-client.toml"

    def hand_over(self, *places: Path) -> None:
        """Let the service's user have what root has written.

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
        for place in places:
            with storage_errors(place):
                for path in (place, *place.rglob("*")):
                    shutil.chown(path, entry.pw_uid, entry.pw_gid)

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


def write_settings(path: Path, values: Mapping[str, Any]) -> None:
    """Write settings into a TOML file; what else stands there stays as it is, comments too.

    Those that are ``None`` are taken out.

    Raises
    ------
    SettingsError
        If what is there is no TOML, or a setting cannot be written down.
    StorageError
        If it cannot be written.
    """
    import tomlkit.exceptions

    before = read_toml_text(path) if path.exists() else ""
    try:
        after = _edited(before, values)
    except (tomlkit.exceptions.TOMLKitError, RecursionError) as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error}.") from error
    with replacing(path) as aside:
        aside.write_text(after, "utf-8")


def _edited(text: str, values: Mapping[str, Any]) -> str:
    """Change settings in a file's text; new ones come first, and new tables last."""
    import tomlkit

    # Says in our words what cannot be written down.
    toml_of({name: value for name, value in values.items() if value is not None})
    document = tomlkit.parse(text)
    new: dict[str, Any] = {}
    for name, value in values.items():
        kept = document.get(name)
        if value is None:
            document.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(kept, MutableMapping):
            for gone in kept.keys() - value.keys():
                del kept[gone]
            kept.update(value)
        elif kept is None and not isinstance(value, Mapping):
            new[name] = value
        else:
            document[name] = value
    return toml_of(new) + tomlkit.dumps(document)

"""Where a user's files belong."""

import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from edge_client.device.settings import DeviceSettings
from shared.errors import SettingsError
from shared.features.store import cache_folder
from shared.sentences import sentence_encoder
from shared.storage.folders import state_folder


def nobody(user: int) -> NoReturn:
    raise KeyError(user)


def test_a_user_without_a_home_folder_is_told_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "CHORUS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    # A user that the machine does not list, as in a container that runs with any number.
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(SettingsError, match="no home folder") as caught:
        state_folder("chorus")
    assert "--state" in caught.value.remedy
    with pytest.raises(SettingsError, match="no home folder") as caught:
        cache_folder()
    assert "CHORUS_CACHE=DIR" in caught.value.remedy
    with pytest.raises(SettingsError, match="no home folder is known that ~ could stand for"):
        DeviceSettings.parse({"state": "~/x"})
    monkeypatch.setenv("CHORUS_CACHE", "~/x")
    with pytest.raises(SettingsError, match="no home folder that ~ could stand for"):
        cache_folder()
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert state_folder("chorus") == Path("/state/chorus")


def test_the_home_of_nobody_is_a_file_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORUS_CACHE", "~no-such-user/cache")
    assert cache_folder() == Path("~no-such-user/cache")
    with pytest.raises(SettingsError, match="There is no sentence encoder ~no-such-user/minilm"):
        sentence_encoder("~no-such-user/minilm")

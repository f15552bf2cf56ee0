"""Where a device keeps its state."""

from pathlib import Path

import pytest

from edge_client.device.settings import DeviceSettings


def test_state_is_kept_where_state_belongs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert DeviceSettings().folder == tmp_path / ".local" / "state" / "chorus"
    assert DeviceSettings(state=Path("~/elsewhere")).folder == tmp_path / "elsewhere"
    monkeypatch.setenv("XDG_STATE_HOME", "/states")
    assert DeviceSettings().folder == Path("/states/chorus")

"""When a device may train."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edge_client.federation.permission import why_not
from edge_client.federation.settings import PermissionSettings
from shared.errors import SettingsError


def asked(values: dict[str, Any], *, at: str = "12:00", load: float = 0.0, **more: Any) -> str:
    now = datetime.fromisoformat(f"2026-11-24T{at}:00")
    settings = PermissionSettings.parse(values)
    return why_not(settings, now=lambda: now, load=lambda: load, **more) or ""


def supplies(folder: Path, **facts: dict[str, str]) -> Path:
    for name, values in facts.items():
        (folder / name).mkdir()
        for file, value in values.items():
            (folder / name / file).write_text(f"{value}\n")
    return folder


def test_without_limits_it_may_always() -> None:
    assert not asked({}, load=100.0)


@pytest.mark.parametrize(
    ("hours", "at", "may"),
    [
        ("22:00-06:30", "21:59", False),
        ("22:00-06:30", "22:00", True),
        ("22:00-06:30", "00:00", True),
        ("22:00-06:30", "06:29", True),
        ("22:00-06:30", "06:30", False),
        ("09:00-17:00", "09:00", True),
        ("09:00-17:00", "17:00", False),
        ("09:00-17:00", "03:00", False),
    ],
)
def test_quiet_hours_may_go_over_midnight(hours: str, at: str, *, may: bool) -> None:
    assert (asked({"train_between": hours}, at=at) == "") == may


@pytest.mark.parametrize("hours", ["22-6", "24:00-06:00", "22:00", "22:60-06:00"])
def test_hours_that_are_none_are_refused(hours: str) -> None:
    with pytest.raises(SettingsError, match="train_between"):
        asked({"train_between": hours})


@pytest.mark.parametrize(
    ("facts", "may"),
    [
        ({}, True),
        ({"AC": {"online": "1"}, "BAT0": {"status": "Discharging"}}, True),
        ({"AC": {"online": "0"}, "BAT0": {"status": "Discharging"}}, False),
        ({"AC": {"online": "0"}, "USB": {"online": "1"}}, True),
        ({"BAT0": {"status": "Discharging"}}, False),
        ({"BAT0": {"status": "Charging"}}, True),
    ],
)
def test_on_battery_it_may_not(
    facts: dict[str, dict[str, str]], tmp_path: Path, *, may: bool
) -> None:
    power = supplies(tmp_path, **facts)
    assert (asked({"on_mains": True}, power=power) == "") == may


def test_a_machine_that_tells_nothing_is_on_mains(tmp_path: Path) -> None:
    assert not asked({"on_mains": True}, power=tmp_path / "none")


def test_load_counts_until_it_is_its_own() -> None:
    assert "load" in asked({"most_load": 0.5}, load=0.5)
    assert not asked({"most_load": 0.5}, load=0.49)
    assert not asked({"most_load": 0.5}, load=2.0, training=True)

"""Whether a device may train now: quiet hours, mains power, load."""

import os
from collections.abc import Callable
from datetime import datetime, time
from pathlib import Path

from edge_client.federation.settings import PermissionSettings

POWER: Path = Path("/sys/class/power_supply")
"""Where Linux tells of batteries and mains adapters; a Raspberry Pi has none."""


def why_not(
    settings: PermissionSettings,
    *,
    training: bool = False,
    now: Callable[[], datetime] = datetime.now,
    load: Callable[[], float] = lambda: os.getloadavg()[0] / (os.cpu_count() or 1),
    power: Path = POWER,
) -> str | None:
    """Say why the device may not train now; ``None`` if it may.

    Parameters
    ----------
    settings
        What its owner allows.
    training
        Whether it trains already: the load is then its own, and no reason to stop.
    now, load, power
        Where the time of day, the load a core and the power supplies are read; for tests.
    """
    if settings.train_between and not _within(settings.train_between, now().time()):
        return f"it trains between {settings.train_between} only"
    if settings.on_mains and _on_battery(power):
        return "it runs on battery"
    if settings.most_load is not None and not training and load() >= settings.most_load:
        return f"its load is not below {settings.most_load:g} a core"
    return None


def _within(hours: str, now: time) -> bool:
    begin, end = (time.fromisoformat(text) for text in hours.split("-"))
    if begin <= end:
        return begin <= now < end
    return now >= begin or now < end


def _on_battery(power: Path) -> bool:
    """Say whether a battery is being used; a machine that tells nothing is taken to be on mains."""
    supplies = sorted(power.glob("*")) if power.is_dir() else []
    adapters = [_read(supply / "online") for supply in supplies if (supply / "online").exists()]
    if adapters:
        return "1" not in adapters
    return any(_read(supply / "status") == "Discharging" for supply in supplies)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""

"""In what the settings of the run in a folder differ from those of now."""

import re
from pathlib import Path
from typing import Any, Final

from shared.errors import SettingsError
from shared.settings import Settings
from shared.settings_file import read_toml

_PARTS: Final = re.compile("([=:+])")
"""What joins words and paths in a text."""


def difference_from(config: Path, settings: Settings) -> str:
    """Say in which setting a run's ``config.toml`` differs; empty if in none that counts."""
    try:
        theirs = type(settings).parse(read_toml(config))
    except SettingsError:
        return "its config.toml cannot be read"
    for name in type(settings).model_fields:
        if name == "threads":  # weights do not depend on it
            continue
        old, new = getattr(theirs, name), getattr(settings, name)
        if old != new and _resolved(old) != _resolved(new):
            return f"{name} is {_shown(old)} there, {_shown(new)} here"
    return ""


def _resolved(value: Any) -> Any:
    """Give a setting's value with each file that it names by its whole path.

    Texts name files too, alone or behind other words: a front end, a partition, a language's corpus
    (``en=ravdess:PATH``), vectors side by side (``FILE+text``). Each of their parts is taken for a
    path: words stay different, as all are put into the same folder, and no link is followed there.
    """
    if isinstance(value, str):
        parts = [Path(part) for part in _PARTS.split(value)]
        return [part.parent.resolve() / part.name for part in parts]
    if isinstance(value, tuple):
        return [_resolved(part) for part in value]
    return value.resolve() if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)

"""A file of settings: TOML, read with what is wrong said in our words, and written."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.errors import SettingsError
from shared.storage.files import may_wait

_LONGEST: Final = 1 << 20
"""Letters that are read."""

_LARGEST: Final = (1 << 63) - 1
"""The largest whole number that TOML promises; the longest ones Python does not even print."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise :class:`SettingsError` if it is missing, too large or not TOML."""
    return _read(path)[1]


def read_toml_text(path: Path) -> str:
    """Read a TOML file as it is written, comments too; raises what :func:`read_toml` does."""
    return _read(path)[0]


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Give a TOML file's text, and what it says."""
    try:
        if may_wait(path):
            raise SettingsError(f"Cannot read the settings file {path}: it is a pipe.")
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise SettingsError(
                f"Cannot read the settings file {path}: it has more than {_LONGEST} letters."
            )
        return text, _checked(tomllib.loads(text))
    except FileNotFoundError as error:
        raise SettingsError(f"There is no settings file {path}.", "Check the name.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"Cannot read the settings file {path}: it is no text.", "Save it as UTF-8."
        ) from error
    except OSError as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error}.") from error
    except RecursionError as error:
        raise SettingsError(
            f"Cannot read the settings file {path}: its tables or lists lie too deep in each other."
        ) from error
    except ValueError as error:  # of TOML's, too, where a number has thousands of digits
        raise SettingsError(
            f"Cannot read the settings file {path}: a whole number in it is beyond {_LARGEST}."
        ) from error


def _checked(value: Any) -> Any:
    """Give a value; raise :class:`ValueError` for a whole number larger than TOML promises."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _checked(part)
    elif isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        raise ValueError
    return value


def toml_of(values: Mapping[str, Any]) -> str:
    """Write settings as TOML, tables last.

    Parameters
    ----------
    values
        As JSON has them; a dictionary is a table.

    Raises
    ------
    SettingsError
        If a path's name is no text.
    """
    lines: list[str] = []
    tables: list[str] = []
    for name, value in values.items():
        if isinstance(value, dict):
            tables += [f"\n[{name}]\n", *(line_of(*item) for item in value.items())]
        else:
            lines.append(line_of(name, value))
    return "".join(lines + tables)


def line_of(name: str, value: Any) -> str:
    """Write one setting as a line of TOML; see :func:`toml_of`."""
    # A JSON number, string, boolean or flat list is the same in TOML, but for DEL.
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"The setting {name} = {value!r} cannot be written down: it is not text in UTF-8.",
            "Rename what it names.",
        ) from error
    return f"{name} = {text}\n"

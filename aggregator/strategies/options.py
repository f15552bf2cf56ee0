"""Checks of the options that strategies take."""

import math

from shared.errors import SettingsError


def positive(name: str, value: float) -> float:
    """Return the value of an option that must be above zero and finite."""
    if not (_number(value) and 0 < value < math.inf):
        raise SettingsError(f"The option {name} should be a number above 0, not {value}.")
    return value


def fraction(name: str, value: float, below: float = 1.0) -> float:
    """Return the value of an option that must be at least zero and below a bound."""
    if not (_number(value) and 0 <= value < below):
        raise SettingsError(
            f"The option {name} should be at least 0 and below {below:g}, not {value}."
        )
    return value


def count(name: str, value: int, least: int) -> int:
    """Return the value of an option that must be a whole number, not too small."""
    if not (_number(value) and value == int(value) and value >= least):
        raise SettingsError(
            f"The option {name} should be a whole number, at least {least}, not {value}."
        )
    return int(value)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

"""Settings as data: one description serves the command line, TOML files and the environment.

A command's settings are a :class:`Settings` class. Each field has its unit and meaning in the
docstring under it, which is also its help text. A value is taken from, in this order: the command
line, the environment (``CHORUS_`` and the name in capitals), the TOML file, the preset, the
default.
"""

import difflib
import functools
import inspect
import json
import logging
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import SettingsError

log = logging.getLogger(__name__)

ENVIRONMENT_PREFIX: Final = "CHORUS_"

Part = TypeVar("Part", bound="Settings")


class Settings(BaseModel):
    """Settings of a part of the project; classes for several parts are combined by inheritance."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    panel: ClassVar[str] = "Settings"
    """Under which heading ``--help`` shows the fields that this class defines."""

    @classmethod
    def collect(
        cls, given: Mapping[str, Any], config: Path | None = None, preset: Mapping[str, Any] = {}
    ) -> Self:
        """Gather the values from all places and check them.

        Parameters
        ----------
        given
            Values of the command line; ``None`` where an option was not given.
        config
            A TOML file with the same names as keys.
        preset
            Values that stand in for the defaults.

        Raises
        ------
        SettingsError
            If the file cannot be read, or a setting is unknown, missing or out of range.
        """
        return cls.parse({**preset, **cls.gather(given, config)})

    @classmethod
    def gather(cls, given: Mapping[str, Any], config: Path | None = None) -> dict[str, Any]:
        """Gather the values that somebody gave, unchecked; see :meth:`collect`."""
        values = read_toml(config) if config else {}
        variables = {ENVIRONMENT_PREFIX + name.upper(): name for name in cls.model_fields}
        for variable in sorted(os.environ):
            if variable in variables:
                values[variables[variable]] = os.environ[variable]
            elif variable.startswith(ENVIRONMENT_PREFIX):
                _remark_if_misspelt(variable, tuple(variables))
        return values | {name: value for name, value in given.items() if value is not None}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check values; raise :class:`SettingsError` about the first wrong one."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError(_sentence(error, cls)) from error

    def part(self, of: type[Part]) -> Part:
        """Take out the fields of one of the classes that this one combines."""
        return of(**{name: getattr(self, name) for name in of.model_fields})

    def to_toml(self) -> str:
        """Write the settings as TOML; those that are ``None`` are left out."""
        lines = []
        for name, value in self.model_dump(mode="json").items():
            if value is not None:
                # A JSON number, string, boolean or flat list is the same in TOML, but for DEL.
                text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
                lines.append(f"{name} = {text}\n")
        return "".join(lines)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise :class:`SettingsError` if it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise SettingsError(f"There is no settings file {path}.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error}.") from error


@functools.cache
def _remark_if_misspelt(variable: str, known: tuple[str, ...]) -> None:
    """Say so, once, if a variable is nearly one that this command has; others have others."""
    bare = [name.removeprefix(ENVIRONMENT_PREFIX) for name in known]
    near = difflib.get_close_matches(
        variable.removeprefix(ENVIRONMENT_PREFIX), bare, n=1, cutoff=0.8
    )
    if near:
        log.warning(
            "The environment variable %s is not known here; is %s meant?",
            variable,
            ENVIRONMENT_PREFIX + near[0],
        )


def options_of(settings: type[Settings]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a Typer command one option a field of ``settings``.

    The command's parameter ``given`` receives the values as a dictionary, ``None`` for options
    that were not used; its other parameters stay as they are.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(**arguments: Any) -> Any:
            given = {name: arguments.pop(name) for name in settings.model_fields}
            return command(given=given, **arguments)

        own = [p for name, p in inspect.signature(command).parameters.items() if name != "given"]
        options = [_option(settings, name) for name in settings.model_fields]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *options)]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what Typer reads
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def _option(settings: type[Settings], name: str) -> inspect.Parameter:
    """Describe a field as a Typer option whose default is ``None``."""
    field = settings.model_fields[name]
    owner = next(
        base
        for base in reversed(settings.__mro__)
        if issubclass(base, Settings) and name in base.model_fields
    )
    text = inspect.cleandoc(field.description or "").replace("``", "")
    if field.default is not None:
        text += f" Default: {str(field.default).lower()}."
    flag = "--" + name.replace("_", "-")
    kind = _bare(field.annotation)
    info = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=text,
        show_default=False,
        rich_help_panel=owner.panel,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, info],
    )


def _bare(annotation: Any) -> Any:
    """Strip ``| None`` and constraints from a type."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) not in (None, Literal):
        (annotation,) = (kind for kind in get_args(annotation) if kind is not NoneType)
        return _bare(annotation)
    return annotation


def _sentence(error: ValidationError, settings: type[Settings]) -> str:
    """Say in one sentence what is wrong with the first wrong setting."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"These settings do not fit: {message}."
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"There is no setting {name}; there are: {', '.join(settings.model_fields)}."
    return f"The setting {name} = {first['input']!r} is wrong: {message}."

"""Settings as data: one description serves the command line, TOML files and the environment.

A command's settings are a :class:`Settings` class. Each field has its unit and meaning in the
docstring under it, which is also its help text. A field whose type is a :class:`Settings` class is
a table of the TOML file. The command line and the environment have no tables: :func:`places` gives
each setting the name that it has there.

A value is taken from, in this order: the command line, the environment (the program's prefix and
the option's name in capitals), the TOML file, the preset, the default.
"""

import difflib
import functools
import inspect
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NamedTuple,
    Self,
    TypeVar,
    get_args,
    get_origin,
)

import typer
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from shared.environment import Prefix, read_environment, remark_once, variable_of
from shared.errors import SettingsError, shown
from shared.settings_file import line_of, read_toml, toml_of
from shared.storage.folders import expanded
from shared.validation import what_is_wrong

Part = TypeVar("Part", bound="Settings")


def separated(value: Any) -> Any:
    """Take apart texts of several values, separated by commas; leave all else as it is."""
    if isinstance(value, str):
        return tuple(part for part in map(str.strip, value.split(",")) if part)
    if isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        return tuple(part for text in value for part in separated(text))
    return value


Several = Annotated[tuple[str, ...], BeforeValidator(separated)]
"""A list in TOML; an option that is repeated, or takes its values separated by commas."""


_FEW: Final = 8
"""Names of settings that a sentence lists; of more it names the nearest."""


class Settings(BaseModel):
    """Settings of a part of the project.

    Classes of several parts are combined by inheritance, or stand in a field, as a table of TOML.
    """

    # Built at the first use: `--help` uses none of them.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True
    )

    panel: ClassVar[str] = "Settings"
    """Under which heading ``--help`` shows the fields that this class defines."""

    environment: ClassVar[Prefix]
    """What the program's environment variables begin with; a command's settings have it."""

    own_option: ClassVar[str] = ""
    """In a table: the field whose option has the table's own name (``--broker``)."""

    option_prefix: ClassVar[str] = ""
    """In a table: what the names of its other options begin with (``home_assistant_``)."""

    gone: ClassVar[Mapping[str, str]] = {}
    """Settings of the version before that have no successor: what is said when one is given."""

    @field_validator("*", mode="before")
    @classmethod
    def _count_no_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """Take no ``true`` for a 1."""
        kind = _bare(cls.model_fields[info.field_name or ""].annotation)
        if isinstance(value, bool) and kind in (int, float):
            raise ValueError("it should be a number")
        return value

    @field_validator("*")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        """Put in the home folder that ``~`` stands for; ``~name`` of nobody is a file's name.

        What is no path must be text: it is stored and sent.
        """
        if isinstance(value, Path) and "\0" in str(value):
            raise ValueError("no file's name holds a zero byte")
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise ValueError("it is not text in UTF-8") from error
        try:
            return expanded(value) if isinstance(value, Path) else value
        except SettingsError as error:
            raise ValueError(
                "no home folder is known that ~ could stand for; give the whole path"
            ) from error

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
    def collect_part(cls, given: Mapping[str, Any], config: Path | None = None) -> Self:
        """Gather them as :meth:`collect` does; the file may hold a larger command's settings."""
        own = {*cls.model_fields, *cls.gone}
        values = cls.gather(given, config)
        return cls.parse({name: value for name, value in values.items() if name in own})

    @classmethod
    def gather(cls, given: Mapping[str, Any], config: Path | None = None) -> dict[str, Any]:
        """Gather the values that somebody gave, unchecked; see :meth:`collect`."""
        values = _read_file(config, cls) if config else {}
        known = places(cls)
        texts = read_environment([*known, *cls.gone], cls.environment)
        used = {name: value for name, value in given.items() if value is not None}
        for name, value in {**texts, **used}.items():
            _put(values, known[name].path if name in known else (name,), value)
        return values

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check values; raise :class:`SettingsError` about the first wrong one."""
        for name, sentence in cls.gone.items():
            if values.get(name) is not None:
                raise SettingsError(f"The setting {name} no longer exists.", sentence)
        try:
            return cls(**values)
        except ValidationError as error:
            raise _wrong(error, cls) from error

    def part(self, of: type[Part]) -> Part:
        """Take out the fields of one of the classes that this one combines."""
        return of(**{name: getattr(self, name) for name in of.model_fields})

    @classmethod
    def variable(cls, name: str) -> str:
        """Name the environment variable of a setting, by the name that its option has."""
        return variable_of(name, cls.environment)

    def to_options(self) -> str:
        """Write options for what is not at its default; tables are left out."""
        words = []
        for name, field in type(self).model_fields.items():
            value, flag = getattr(self, name), name.replace("_", "-")
            if value == field.default or isinstance(value, Settings):
                continue
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                words.append(f"--{flag} {shlex.quote(text)}")
        return " ".join(words)

    def to_toml(self) -> str:
        """Write the settings as TOML; those that are ``None`` are left out.

        Raises
        ------
        SettingsError
            If a path's name is no text.
        """
        return toml_of(self.model_dump(mode="json", exclude_none=True))


class Place(NamedTuple):
    """A setting where it belongs."""

    path: tuple[str, ...]
    """Its key in TOML, with its table's name before it if it stands in one."""
    field: FieldInfo
    """What it is."""
    panel: str
    """Under which heading ``--help`` shows it."""


@functools.cache
def places(settings: type[Settings]) -> Mapping[str, Place]:
    """Give each setting one name for the command line and the environment, without tables.

    Returns
    -------
    mapping
        By name, such as ``home_assistant_username`` for ``username`` in ``[home_assistant]``.
    """
    found = {}
    for name, field in settings.model_fields.items():
        if table := _table(field):
            for inner, inner_field in table.model_fields.items():
                flat = name if inner == table.own_option else table.option_prefix + inner
                found[flat] = Place((name, inner), inner_field, table.panel)
        else:
            owner = next(
                base
                for base in reversed(settings.__mro__)
                if issubclass(base, Settings) and name in base.model_fields
            )
            found[name] = Place((name,), field, owner.panel)
    return found


def _table(field: FieldInfo) -> type[Settings] | None:
    """Return a field's class, if it is a table."""
    kind = _bare(field.annotation)
    return kind if inspect.isclass(kind) and issubclass(kind, Settings) else None


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put a value where it belongs."""
    *tables, name = path
    for table in tables:
        values = values.setdefault(table, {})
    values[name] = value


def _read_file(path: Path, settings: type[Settings]) -> dict[str, Any]:
    """Read a TOML file; put what stands where the version before had it where it belongs."""
    values = read_toml(path)
    old, moved = [], []
    for name, place in places(settings).items():
        value = values.get(name)
        if value is None or isinstance(value, dict):
            continue
        if len(place.path) > 1:
            moved.append((place.path, values.pop(name)))
            old.append(f"{name} is {place.path[-1]} in [{place.path[0]}]")
        elif _bare(place.field.annotation) == list[str] and isinstance(value, str):
            old.append(f"{name} is a list: {line_of(name, separated(value)).strip()}")
    for (table, name), value in moved:
        values[table] = {name: value, **values.get(table, {})}
    if old:
        remark_once(
            f"Settings in {path} have new places; the old ones work in this version only: "
            f"{'; '.join(old)}."
        )
    return values


def options_of(settings: type[Settings]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a Typer command one option a field of ``settings``.

    The command's parameter ``given`` receives the values as a dictionary, ``None`` for options
    that were not used; its other parameters stay as they are.
    """
    known, gone = places(settings), settings.gone

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(**arguments: Any) -> Any:
            given = {name: arguments.pop(name) for name in (*known, *gone)}
            return command(given=given, **arguments)

        own = [p for name, p in inspect.signature(command).parameters.items() if name != "given"]
        options = [_option(name, place) for name, place in known.items()]
        options += [_hidden_option(name) for name in gone]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *options)]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what Typer reads
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def _option(name: str, place: Place) -> inspect.Parameter:
    """Describe a setting as a Typer option whose default is ``None``."""
    field = place.field
    text = inspect.cleandoc(field.description or "").replace("``", "")
    kind = _bare(field.annotation)
    if kind == list[str]:
        text += f" Default: {','.join(map(str, field.default))}." if field.default else ""
    elif field.default is not None and not field.is_required():
        text += f" Default: {str(field.default).lower()}."
    flag = "--" + name.replace("_", "-")
    info = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=text,
        show_default=False,
        rich_help_panel=place.panel,
    )
    return _parameter(name, kind, info)


def _hidden_option(name: str) -> inspect.Parameter:
    """Take an option that is gone, to say so."""
    return _parameter(name, str, typer.Option("--" + name.replace("_", "-"), hidden=True))


def _parameter(name: str, kind: Any, info: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, info],
    )


def _bare(annotation: Any) -> Any:
    """Strip ``| None`` and constraints from a type; a tuple of texts is given as a list."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return list[str]
    if get_origin(annotation) not in (None, Literal, dict, list):
        (annotation,) = (kind for kind in get_args(annotation) if kind is not NoneType)
        return _bare(annotation)
    return annotation


def _wrong(error: ValidationError, settings: type[Settings]) -> SettingsError:
    """Say in one sentence what is wrong with the first wrong setting."""
    first = error.errors(include_url=False)[0]
    message = what_is_wrong(first)
    if not first["loc"]:
        return SettingsError(f"These settings do not fit: {message}.")
    outermost = str(first["loc"][0])
    name = ".".join(map(str, first["loc"]))
    field = settings.model_fields.get(outermost)
    table = _table(field) if field else None
    if first["type"] == "extra_forbidden":
        return _unknown(name, [*(table or settings).model_fields])
    if first["type"] == "missing":
        return SettingsError(f"The setting {name} is missing.")
    if table and name == outermost:
        return SettingsError(f"The settings in [{name}] do not fit: {message}.")
    return SettingsError(f"The setting {name} = {shown(repr(first['input']))} is wrong: {message}.")


def _unknown(name: str, known: list[str]) -> SettingsError:
    """Say that there is no such setting: which are near, and where all of them are."""
    told = shown(name)
    if len(known) <= _FEW:
        return SettingsError(f"There is no setting {told}; there are: {', '.join(known)}.")
    lists = "--help lists all (for the runs of a study, edge-client simulate --help)."
    near = difflib.get_close_matches(name.rpartition(".")[2], known)
    if not near:
        return SettingsError(f"There is no setting {told}.", lists)
    return SettingsError(f"There is no setting {told}; is {' or '.join(near)} meant?", lists)

"""Every number that comes from outside, in a message, an order or a setting, has an upper bound."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import annotated_types
import pytest
import typer
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

import aggregator.cli
import converters.cli
import edge_client.cli
from shared.protocol.messages import Message
from shared.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGES = ("shared", "aggregator", "edge_client", "converters")


_DEFINES = re.compile(r"^class \w+\(.*(BaseModel|Settings|Message|Order)\b", re.MULTILINE)


def models() -> list[type[BaseModel]]:
    """Find every pydantic class of ours, wherever it stands."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if _DEFINES.search(path.read_text()):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                importlib.import_module(module.removesuffix(".__init__"))
    return sorted(_below(BaseModel), key=lambda each: (each.__module__, each.__name__))


def _below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        if each.__module__.partition(".")[0] in PACKAGES:
            yield each
        yield from _below(each)


def numbers(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[bool]:
    """Say of each number in a type whether it has an upper bound."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from numbers(inner, (*metadata, *more))
    elif annotation in (int, float):
        bounds = (annotated_types.Le, annotated_types.Lt)
        yield any(isinstance(each, bounds) for each in _flat(metadata))
    elif get_origin(annotation) is not None:
        for inner in get_args(annotation):
            yield from numbers(inner)


def _flat(metadata: tuple[Any, ...]) -> Iterator[Any]:
    for each in metadata:
        yield from each.metadata if isinstance(each, FieldInfo) else (each,)


def boundless(model: type[BaseModel]) -> list[str]:
    return [
        name
        for name, field in model.model_fields.items()
        if not all(numbers(field.annotation, tuple(field.metadata)))
    ]


def test_messages_orders_and_settings_are_found() -> None:
    found = {each.__name__ for each in models()}
    assert found >= {"Announcement", "Want", "File", "ExampleOrder", "TrainingSettings"}
    assert found >= {"AggregatorSettings", "SimulationSettings", "BrokerSettings"}


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_number_has_an_upper_bound(model: type[BaseModel]) -> None:
    assert boundless(model) == []


@pytest.mark.parametrize("app", [aggregator.cli.app, edge_client.cli.app, converters.cli.app])
def test_every_number_that_only_a_command_line_takes_has_an_upper_bound(app: typer.Typer) -> None:
    commands = [typer.main.get_command(app)]
    for command in commands:
        below = getattr(command, "commands", {})
        # The groups of whole programs hold lines of help, until a command is asked for.
        commands += [
            command.load(name) if hasattr(command, "load") else below[name] for name in below
        ]
        for parameter in command.params:
            # What is a setting has no range here: its class checks it.
            kind = getattr(parameter, "type", None)
            assert getattr(kind, "max", 0) is not None, (command.name, parameter.name)
    assert len(commands) > 2
    assert sum(len(command.params) for command in commands) > len(commands) + 5


def test_a_number_without_one_is_found() -> None:
    class Loose(Message):
        bounded: Annotated[int, Field(ge=0, le=3)] = 0
        more: Annotated[int, Field(ge=0)] = 0
        maybe: Annotated[float, Field(gt=0)] | None = None
        several: tuple[tuple[int, Annotated[int, Field(lt=9)]], ...] = ()

    class Open(Settings):
        plain: int = 3
        """Anything."""
        good: Annotated[int, Field(lt=9)] | None = None
        """Bounded."""

    assert boundless(Loose) == ["more", "maybe", "several"]
    assert boundless(Open) == ["plain"]

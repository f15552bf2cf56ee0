"""What is wrong with a setting or a message is said in words of ours, whatever is wrong with it."""

import json
import math
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge_client.settings import RunSettings
from shared.errors import ProtocolError, SettingsError
from shared.protocol.messages import Message, decode_reply, decode_request
from shared.settings import Settings
from shared.validation import UNKNOWN, what_is_wrong

WITH_SETTINGS = (
    *("aggregator.server.settings", "edge_client.settings", "edge_client.commands.starter"),
    *("edge_client.simulation.studies.baselines", "shared.round_settings"),
    "shared.protocol.joining",
)
"""Modules that import all others in which there are settings and messages."""

ODD: list[Any] = [
    *(None, True, "", "x", "-", "\0", "x" * 2000, "\ud800", b"\xff"),
    *(-1, 0, 1, 2**70, -0.5, 0.5, 1e300, math.nan, math.inf),
    *([], [1], ["x"], [[1, 2]], [[-1, -1]], [None] * 300, {}, {"x": 1}, {"x": {}}),
    "2020-01-01T00:00:00",
]


def descendants(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for module in WITH_SETTINGS:
        import_module(module)
    for one in kind.__subclasses__():
        if not one.__module__.startswith("tests."):
            yield one
        yield from descendants(one)


KINDS = {one.__name__: one for kind in (Settings, Message) for one in descendants(kind)}


@pytest.mark.parametrize("name", KINDS)
def test_whatever_is_wrong_has_words_of_ours(name: str) -> None:
    kind, found = KINDS[name], list[ErrorDetails]()
    fields = [{field: odd} for field in kind.model_fields for odd in ODD]
    for values in ({}, {"no such": 1}, *fields):
        try:
            kind.model_validate(values)
        except ValidationError as error:
            found += error.errors()
        except SettingsError:
            pass  # that is a sentence of ours
    assert found
    for one in found:
        said = what_is_wrong(one)
        assert said != UNKNOWN, one
        if one["type"] != "value_error":
            assert said not in one["msg"]
            assert "{" not in said.partition("form")[0]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({}, "A message is wrong: it: it does not say its 'kind'."),
        ({"kind": "gift"}, "A message is wrong: it: its 'kind' should be one of 'offer', 'want'."),
        ({"kind": "want"}, "A message is wrong: want.file: it is missing."),
        (
            {"kind": "want", "file": "x", "ranges": []},
            "A message is wrong: want.file: it should have the form ^[0-9a-f]{64}$.",
        ),
        (
            {"kind": "want", "file": "4" * 64, "ranges": [[0, -1]]},
            "A message is wrong: want.ranges.0.1: it should be at least 0.",
        ),
    ],
)
def test_a_device_that_asks_wrongly_is_told_in_words_of_ours(
    message: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_request(json.dumps({"protocol": "1.0", **message}).encode())
    assert caught.value.problem == sentence


def test_a_wrong_answer_is_described_in_words_of_ours() -> None:
    with pytest.raises(ProtocolError, match=r"received\.window: it should be a whole number\."):
        decode_reply(
            json.dumps(
                {
                    "protocol": "1.0",
                    "kind": "received",
                    "update": "4" * 64,
                    "window": "wide",
                    "ranges": [],
                }
            ).encode()
        )


def test_a_wrong_setting_is_described_in_words_of_ours() -> None:
    with pytest.raises(SettingsError, match=r"port = 70000 is wrong: it should be at most 65535\."):
        RunSettings.parse({"broker": {"port": 70_000}})

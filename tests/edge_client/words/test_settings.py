"""Words are off unless somebody asks for them, and stay on this machine."""

from pathlib import Path
from typing import Any

import pytest

from edge_client.settings import RunSettings
from edge_client.words.recognising import topic_of
from shared.errors import SettingsError


def settings(**given: Any) -> RunSettings:
    return RunSettings.parse({"mic": True, **given})


def test_nothing_is_recognised_unless_it_is_asked_for() -> None:
    assert settings().words is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"words": "tiny.en"}, "say what words are for"),
        ({"show_words": True}, "they must be recognised: give words"),
        ({"fusion": Path("model.safetensors")}, "they must be recognised: give words"),
        ({"words": "wyoming://192.0.2.7:10300", "show_words": True}, "is another machine"),
        ({"words": "mqtt://broker.local/words", "show_words": True}, "is another machine"),
        ({"words": "mqtt://127.0.0.1", "show_words": True}, "should end in a topic"),
        ({"words": "mqtt://127.0.0.1/words/#", "show_words": True}, "should end in a topic"),
    ],
)
def test_what_cannot_be_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings(**given)


def test_a_topic_is_told_from_its_broker() -> None:
    broker, topic = topic_of("mqtt://127.0.0.1:1884/house/words")
    assert (broker.host, broker.port, topic) == ("127.0.0.1", 1884, "house/words")

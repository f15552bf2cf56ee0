"""Words that come as lines of JSON on a topic."""

import json
import queue
from contextlib import closing

import pytest
from paho.mqtt.publish import single

from edge_client.words.recognising import topic_of
from edge_client.words.topic import WordsTopic, read_words
from shared.errors import ChorusError
from tests.brokers import BOUND, Mosquitto


def test_a_message_names_its_utterance_or_none() -> None:
    assert read_words(b'{"text": " Oh no. ", "utterance": 12}', "t") == (12, "Oh no.")
    assert read_words('{"text": "Ach, schön."}'.encode(), "t") == (None, "Ach, schön.")


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"Oh no.", b"[]", b"{}", b"\xff", b'{"text": 3}', b"null"),
        *(b'{"text": "x", "utterance": "12"}', b'{"text": "x", "utterance": true}'),
        *(b'{"text": "x", "utterance": 1e400}', b'{"text": ' + b"[" * 60_000, b"[" * 100_000),
        b'{"text": "' + b"x" * 70_000 + b'"}',
    ],
)
def test_nonsense_is_one_sentence(payload: bytes) -> None:
    with pytest.raises(ChorusError, match="What came on house/words is no words"):
        read_words(payload, "house/words")


def test_an_empty_text_is_left_aside() -> None:
    with pytest.raises(ChorusError, match="has an empty text: it is left aside"):
        read_words(b'{"text": "  "}', "house/words")


def test_words_come_over_a_broker_and_what_is_wrong_with_them_is_said(
    mosquitto: Mosquitto,
) -> None:
    taken: queue.SimpleQueue[tuple[int | None, str]] = queue.SimpleQueue()
    said: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def take(identifier: int | None, words: str) -> None:
        if identifier == 99:
            raise ChorusError("Words came of utterance 99, which this device does not remember.")
        taken.put((identifier, words))

    broker, topic = topic_of(f"mqtt://127.0.0.1:{mosquitto.port}/house/words")
    with closing(WordsTopic(broker, topic, take, said.put)):
        assert said.get(timeout=BOUND) is None, "connected"
        for message in ({"text": "Oh no."}, {"text": ""}, {"text": "x", "utterance": 99}):
            single(topic, json.dumps(message), qos=1, port=mosquitto.port)
        assert taken.get(timeout=BOUND) == (None, "Oh no.")
        assert said.get(timeout=BOUND) is None
        assert "empty text" in str(said.get(timeout=BOUND))
        assert "utterance 99" in str(said.get(timeout=BOUND))
    assert taken.empty()

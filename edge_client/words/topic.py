"""Words from a recogniser of the person's own, as lines of JSON on a topic of a local broker.

``{"text": "What was said", "utterance": 12}``: the number is that of the device's utterance, as its
lines and its terminal tell it. Without one, the words are those of the last utterance.
"""

import json
import os
from collections.abc import Callable
from typing import Any, Final

from shared.errors import ChorusError
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection

_LONGEST: Final = 1 << 16
"""Bytes of a message that is read."""


class WordsTopic:
    """Takes words from a topic for as long as the context lasts.

    Parameters
    ----------
    broker
        Of this machine.
    topic
        Where the recogniser publishes.
    take
        Called with an utterance's number, or ``None`` for the last, and its words; what is wrong
        with them it raises as a :class:`ChorusError`.
    say
        Called with what the person should know, or ``None`` if all is well.
    """

    def __init__(
        self,
        broker: BrokerSettings,
        topic: str,
        take: Callable[[int | None, str], None],
        say: Callable[[str | None], None],
    ) -> None:
        self._topic = topic
        self._take = take
        self._say = say
        self._connection = Connection(
            broker,
            f"chorus-words-{os.getpid()}",
            subscriptions=[topic],
            on_message=self._on_message,
            on_change=self._on_change,
        )
        self._connection.start()

    def close(self) -> None:
        """Leave the broker."""
        self._connection.close()

    def _on_message(self, topic: str, payload: bytes) -> None:
        del topic
        try:
            self._take(*read_words(payload, self._topic))
            self._say(None)
        except ChorusError as error:
            self._say(error.message)

    def _on_change(self, connected: bool, sentence: str) -> None:  # noqa: FBT001 - as Connection calls it
        self._say(None if connected else f"Words: {sentence}")


def read_words(payload: bytes, topic: str) -> tuple[int | None, str]:
    """Read a message: the number of its utterance, if it names one, and the words.

    Raises
    ------
    ChorusError
        If it is no such message, or has no words.
    """
    try:
        message: Any = json.loads(payload) if len(payload) <= _LONGEST else None
        text, number = message["text"], message.get("utterance")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text, number = None, None
    if not isinstance(text, str) or not (number is None or type(number) is int):
        raise ChorusError(
            f"What came on {topic} is no words.", 'Publish {"text": "...", "utterance": NUMBER}.'
        )
    if not text.strip():
        raise ChorusError(f"What came on {topic} has an empty text: it is left aside.")
    return number, text.strip()

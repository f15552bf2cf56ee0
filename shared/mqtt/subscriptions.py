"""What a connection receives, over all its reconnections."""

import functools
import threading
from collections.abc import Mapping

import paho.mqtt.client as mqtt


class Subscriptions:
    """Topics and topic filters, each with its quality of service; for several threads.

    Parameters
    ----------
    topics
        Those to begin with.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._lock = threading.RLock()
        self.replace(topics)

    def replace(self, topics: Mapping[str, int]) -> None:
        """Receive these and no others."""
        with self._lock:
            self._topics = dict(topics)
            self._filters = tuple(topic for topic in topics if _is_filter(topic))

    def add(self, topic: str, quality: int) -> None:
        """Receive one more."""
        with self._lock:
            self.replace({**self._topics, topic: quality})

    def remove(self, topic: str) -> None:
        """Receive one no longer."""
        with self._lock:
            self.replace({each: qos for each, qos in self._topics.items() if each != topic})

    def items(self) -> list[tuple[str, int]]:
        """Give all of them."""
        with self._lock:
            return list(self._topics.items())

    def match(self, topic: str) -> bool:
        """Say whether a topic is among them."""
        with self._lock:
            known, filters = topic in self._topics, self._filters
        return known or _matches(filters, topic)


def _is_filter(topic: str) -> bool:
    return "+" in topic or "#" in topic


@functools.lru_cache(maxsize=1024)
def _matches(filters: tuple[str, ...], topic: str) -> bool:
    """Say whether one of the filters lets a topic pass; looked up once, as chunks are many."""
    return any(mqtt.topic_matches_sub(each, topic) for each in filters)

"""Who hears what, of the messages that pass through the embedded broker."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from aggregator.broker.packets import matches

Subscriber = TypeVar("Subscriber", bound=Hashable)


class Subscribers(Generic[Subscriber]):
    """Subscribers with their topics and topic filters."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[Subscriber, int]] = {}
        self._patterns: dict[Subscriber, dict[str, tuple[list[str], int]]] = {}

    def add(self, subscriber: Subscriber, name: str, qos: int) -> None:
        """Let one hear a topic, or those of a filter."""
        if "+" in name or "#" in name:
            self._patterns.setdefault(subscriber, {})[name] = (name.split("/"), qos)
        else:
            self._exact.setdefault(name, {})[subscriber] = qos

    def remove(self, subscriber: Subscriber, name: str) -> None:
        """Let one no longer hear a topic, or those of a filter."""
        hear, patterns = self._exact.get(name), self._patterns.get(subscriber)
        if hear and hear.pop(subscriber, None) is not None and not hear:
            del self._exact[name]
        if patterns and patterns.pop(name, None) and not patterns:
            del self._patterns[subscriber]

    def of(self, topic: str) -> dict[Subscriber, int]:
        """Give all who hear a topic, each once, with the best quality of service it asked for."""
        hear = dict(self._exact.get(topic, {}))
        levels = topic.split("/")
        for subscriber, patterns in self._patterns.items():
            for pattern, qos in patterns.values():
                if matches(pattern, levels):
                    hear[subscriber] = max(qos, hear.get(subscriber, 0))
        return hear

"""Tasks of few and of many labels, for the page."""

from typing import Final

from shared.task import MOST_LABELS, PAPER34, Task, labels_of

_NAMES: Final = (
    *("angry", "happy", "neutral", "sad", "fearful", "disgusted", "surprised", "calm"),
    *("laughing", "crying", "shouting", "whispering", "singing", "coughing", "yawning", "sighing"),
    *("humming", "overwhelmed_by_everything_at_once", "bored", "excited"),
    *(f"sound-{number}" for number in range(MOST_LABELS - 20)),
)


def task_of(count: int) -> Task:
    """Make a task of so many labels."""
    names = [name[:32] for name in _NAMES[:count]]
    return Task(labels_of(names), PAPER34)


EIGHT: Final = task_of(8)

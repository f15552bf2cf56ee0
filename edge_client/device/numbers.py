"""Numbers of utterances that were given before: none may ever mean another utterance.

The store counts on by itself. Where it was lost or brought back from a copy, kept sound and
what a federation's part has learned still go by numbers that it does not know.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from edge_client.device.sounds import files_of
from edge_client.device.state import DeviceFolder
from shared.storage.files import read_file

_LARGEST: Final = 1 << 53
"""What is beyond is no number of ours: JSON does not hold it exactly."""


def largest_given(state: DeviceFolder) -> int:
    """Find the largest number that something beside the store goes by; 0 if nothing does."""
    numbers = [number for number, _ in files_of(state.sounds)]
    for file in state.federations.glob("*/federation.json"):
        try:
            numbers += _learned(json.loads(read_file(file)))
        except (OSError, ValueError, RecursionError):
            continue  # the federation's part says what is wrong with it
    return max((number for number in numbers if number < _LARGEST), default=0)


def _learned(remembered: Any) -> Iterator[int]:
    """Give the keys under each ``learned``, of runs that are set aside too; guesses' are negative.

    They are those of :class:`edge_client.federation.client_state.ClientState`.
    """
    if isinstance(remembered, list):
        for each in remembered:
            yield from _learned(each)
    elif isinstance(remembered, dict):
        for name, value in remembered.items():
            if name == "learned" and isinstance(value, list):
                yield from (abs(key) for key in value if isinstance(key, int))
            else:
                yield from _learned(value)

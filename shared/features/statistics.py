"""What a device keeps of all that it has heard: running statistics, or a voice's."""

from collections.abc import Mapping
from typing import Any

from shared.features.normalisation import RunningStatistics
from shared.features.voice import VoiceModel, VoiceStatistics
from shared.front_ends import FrontEnd

Statistics = RunningStatistics | VoiceStatistics
"""Both take in what was heard, and normalise features by it."""


def no_statistics(front_end: FrontEnd, voice: VoiceModel | None) -> Statistics:
    """Begin, having heard nothing.

    Parameters
    ----------
    front_end
        What computes the features.
    voice
        Tells voices from moods; ``None`` for means and standard deviations.
    """
    return VoiceStatistics(voice) if voice else RunningStatistics(front_end)


def restored(state: Mapping[str, Any], front_end: FrontEnd, voice: VoiceModel | None) -> Statistics:
    """Go on from what ``to_dict`` gave.

    Raises
    ------
    ValueError
        If the state is damaged, or of the other kind.
    """
    if voice:
        return VoiceStatistics.from_dict(state, voice)
    return RunningStatistics.from_dict(state, front_end)

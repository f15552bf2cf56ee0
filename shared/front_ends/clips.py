"""Features of a clip in a file."""

from pathlib import Path

from shared.audio import read_clip
from shared.errors import AudioError
from shared.frames import Frames
from shared.front_ends import FrontEnd


def clip_features(path: Path, front_end: FrontEnd) -> Frames:
    """Read a clip and compute the features of its frames.

    Returns
    -------
    Frames
        Shape ``(n, features)``, as :meth:`FrontEnd.compute` gives them.

    Raises
    ------
    AudioError
        As :func:`shared.audio.read_clip` and :meth:`FrontEnd.compute`; the sentence names the file.
    """
    samples = read_clip(path)
    try:
        return front_end.compute(samples)
    except AudioError as error:
        raise AudioError(
            error.problem.replace("The clip", f"The clip {path}", 1), error.remedy
        ) from None

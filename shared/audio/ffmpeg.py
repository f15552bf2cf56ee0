"""Sound that libsndfile cannot read, decoded by ffmpeg through audioread, which librosa brings.

A workstation has them; a device needs neither, and is told so where it meets such a clip.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.audio.decoded import Decoded
from shared.errors import AudioError

SUFFIXES: Final = frozenset(
    (
        *(".3ga", ".3gp", ".aac", ".ac3", ".amr", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp4"),
        *(".webm", ".wma"),
    )
)
"""What the name of such a file ends in."""


@contextmanager
def decoding(path: Path, what: str = "clip") -> Iterator[Decoded]:
    """Open a file; ffmpeg ends with the context.

    Parameters
    ----------
    path
        The file.
    what
        What the file is to the user: a clip, a recording.

    Raises
    ------
    AudioError
        If audioread or ffmpeg is not installed, or finds no sound in the file.
    """
    try:
        from audioread import DecodeError, ffdec
    except ImportError as error:
        raise AudioError(
            f"The {what} {path} cannot be read: its format needs ffmpeg and audioread.",
            "Convert it to WAV or FLAC, or: pip install 'chorus-edge[workstation]'.",
        ) from error
    try:
        # Resolved: ffmpeg takes `concat:...` and the like for something else than a file's name.
        with ffdec.FFmpegAudioFile(str(path.resolve())) as file:
            channels = max(1, file.channels)
            yield Decoded(file.samplerate, channels, file.duration, _blocks(file, channels))
    except ffdec.NotInstalledError as error:
        raise AudioError(
            f"The {what} {path} cannot be read: its format needs ffmpeg, which is not installed.",
            "Install ffmpeg (apt install ffmpeg), or convert the clip to WAV or FLAC.",
        ) from error
    except DecodeError as error:
        raise AudioError(
            f"The {what} {path} cannot be read: ffmpeg finds no sound in it.",
            "Convert it to WAV or FLAC.",
        ) from error


def _blocks(file: Any, channels: int) -> Iterator[NDArray[np.float32]]:
    """Turn bytes, which may end within a sample, into whole samples of all channels."""
    left = b""
    for data in file:
        left += data
        whole = len(left) - len(left) % (2 * channels)
        yield np.frombuffer(left[:whole], "<i2").reshape(-1, channels).astype(np.float32) / 32768
        left = left[whole:]

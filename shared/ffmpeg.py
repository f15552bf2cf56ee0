"""Sound that libsndfile cannot read, decoded by ffmpeg through audioread, which librosa brings.

A workstation has them; a device needs neither, and is told so where it meets such a clip.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import AudioError

SUFFIXES: Final = frozenset({".aac", ".amr", ".m4a", ".mp4", ".webm", ".wma"})
"""What the name of such a file ends in."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file that ffmpeg decodes.

    Attributes
    ----------
    rate
        Samples per second.
    seconds
        How long it says it is; 0 if it does not.
    blocks
        Its sound, of shape ``(samples, channels)`` each, float32, full scale at 1.
    """

    rate: int
    seconds: float
    blocks: Iterator[NDArray[np.float32]]


@contextmanager
def decoding(path: Path) -> Iterator[Decoded]:
    """Open a file; ffmpeg ends with the context.

    Raises
    ------
    AudioError
        If audioread or ffmpeg is not installed, or finds no sound in the file.
    """
    try:
        from audioread import DecodeError, ffdec
    except ImportError as error:
        raise AudioError(
            f"The clip {path} cannot be read: its format needs ffmpeg and audioread.",
            "Convert it to WAV or FLAC, or: pip install 'chorus-edge[workstation]'.",
        ) from error
    try:
        # Resolved: ffmpeg takes `concat:...` and the like for something else than a file's name.
        with ffdec.FFmpegAudioFile(str(path.resolve())) as file:
            yield Decoded(file.samplerate, file.duration, _blocks(file, max(1, file.channels)))
    except ffdec.NotInstalledError as error:
        raise AudioError(
            f"The clip {path} cannot be read: its format needs ffmpeg, which is not installed.",
            "Install ffmpeg (apt install ffmpeg), or convert the clip to WAV or FLAC.",
        ) from error
    except DecodeError as error:
        raise AudioError(
            f"The clip {path} cannot be read: ffmpeg finds no sound in it.",
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

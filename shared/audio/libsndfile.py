"""Sound that libsndfile reads, to its true end.

What a header says of the length is not believed: it may be too short, too long or unknown. The file
is read forward until nothing more comes, and then asked whether that was its end.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import joined, unfinished
from shared.audio.decoded import Decoded
from shared.errors import AudioError

if TYPE_CHECKING:
    import soundfile

_UNKNOWN_FRAMES: Final = 1 << 38
"""A length from here on stands for one that nobody knows: years of sound."""

_UNKNOWN_BYTES: Final = 0x7FFF_0000
"""So does a chunk's size from here on: who writes to a pipe gives about 2 or 4 GB."""

_CLAIM: Final = re.compile(
    r"^\s*(?:(?:data|SSND|BODY|Data Size|riff)\s*:|Data length) (\d+) \(?should be (\d+)",
    re.MULTILINE,
)
"""libsndfile's remark on a chunk of sound whose size is not that of what is there."""

_CUT: Final = re.compile(
    r"does not match value from 'ds64' chunk|Seems to be a truncated|File seems to be truncated"
)
"""Its remarks on an RF64, a VOC and a MAT4 that end before their time."""

_NIST_COUNT: Final = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)
_NIST_HEAD: Final = 1024


@contextmanager
def decoding(path: Path, length: int, what: str = "clip") -> Iterator[Decoded]:
    """Open a file, whatever its name ends in.

    Parameters
    ----------
    path
        The file.
    length
        Samples of a block, over all channels.
    what
        What the file is to the user: a clip, a recording.

    Raises
    ------
    AudioError
        If libsndfile does not know its format, or finds it malformed; or if it would leave out
        all but the first of several sounds.
    """
    import soundfile

    class Forward(soundfile.SoundFile):  # type: ignore[misc] # soundfile comes without types
        """Reads on without asking where it is: some files cannot tell, or tell what is wrong."""

        def seekable(self) -> bool:
            return False

    source: bytes | _Endless | unfinished.Changed = os.fsencode(path)  # a name need not be text
    with path.open("rb") as raw:
        if joined.goes_on(raw):
            raise AudioError(
                f"The {what} {path} holds several sounds, one behind the other, of which the first "
                "alone would be heard.",
                "Cut it apart, or convert all of it to WAV.",
            )
        calm = _Calm(raw)
        if _mp3_without_length(raw):
            source = _Endless(calm)
        elif change := unfinished.change_of(raw):
            source = unfinished.Changed(calm, change)
        try:
            file = Forward(source)
        except (soundfile.SoundFileError, TypeError) as error:
            # TypeError is soundfile's answer to a name that ends in `.raw`.
            raise AudioError(
                f"The {what} {path} cannot be read: {_reason(error)}.", "Convert it to WAV or FLAC."
            ) from error
        with file:
            known = 0 <= file.frames < _UNKNOWN_FRAMES
            yield Decoded(
                file.samplerate,
                file.channels,
                file.frames / file.samplerate if known and file.samplerate > 0 else 0,
                _blocks(file, max(1, length // file.channels), f"The {what} {path}", path, calm),
            )


def _blocks(
    file: "soundfile.SoundFile", frames: int, name: str, path: Path, calm: "_Calm"
) -> Iterator[NDArray[np.float32]]:
    import soundfile

    count = 0
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise AudioError(
                f"{name} cannot be read: {_reason(error)}.", "Copy it again."
            ) from error
        if calm.failed:
            raise calm.failed
        if not len(block):
            break
        count += len(block)
        yield block
    if count < file.frames < _UNKNOWN_FRAMES or _cut(file, path, count):
        raise AudioError(f"{name} is damaged: its end is missing.", "Copy it again.")


def _cut(file: "soundfile.SoundFile", path: Path, count: int) -> bool:
    """Whether a file of which so many samples could be read ends before its time."""
    if file.format == "OGG":
        return not _ends_as_ogg(path)
    if file.format == "NIST":  # libsndfile counts what is there, and says nothing of it
        with path.open("rb") as raw:
            claim = _NIST_COUNT.search(raw.read(_NIST_HEAD))
        return claim is not None and count < int(claim[1]) < _UNKNOWN_BYTES
    remarks = file.extra_info
    claims = (map(int, claim) for claim in _CLAIM.findall(remarks))
    beyond = any(there < claimed < _UNKNOWN_BYTES for claimed, there in claims)
    return beyond or _CUT.search(remarks) is not None


def _ends_as_ogg(path: Path) -> bool:
    """Whether the last page is whole, and marked as the last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        page = joined.last_page(file)
    head, rest = page[: joined.PAGE_HEAD], page[joined.PAGE_HEAD :]
    if len(head) < joined.PAGE_HEAD or not head[5] & 4:
        return False
    segments = rest[: head[-1]]
    return len(segments) == head[-1] and sum(segments) <= len(rest) - len(segments)


def _mp3_without_length(file: IO[bytes]) -> bool:
    """Whether it is an MP3 that does not say how long it is, so that libsndfile would guess.

    Its guess goes by the first frames, and it stops there.
    """
    frame = joined.mp3_frame(file, joined.behind_tag(file))
    file.seek(0)
    return bool(frame) and not re.search(b"Xing|Info", frame)


class _Calm:
    """A file that raises nothing where libsndfile calls it: that would be printed, and forgotten.

    Attributes
    ----------
    failed
        Why it could not be read on.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.failed: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        with suppress(OSError):  # it looks for a tag before the beginning; where it is, it asks
            return self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        return self._file.tell()

    def read(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except OSError as error:
            self.failed = error
            return b""


class _Endless:
    """A file that says it is longer than any: nothing is left out because of its length."""

    def __init__(self, file: _Calm) -> None:
        self._file = file
        self._at_end = False

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at_end = (offset, whence) == (0, 2)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return 1 << 40 if self._at_end else self._file.tell()

    def read(self, count: int) -> bytes:
        return self._file.read(count)


def _reason(error: Exception) -> Any:
    return getattr(error, "error_string", "the format is not recognised").rstrip(".")

"""A fuzzer of everything that reads what others sent: frames, messages, records, updates.

``python -m tests.fuzz.fuzz_protocol [-runs=N] [-seed=N] [folder of inputs]`` with atheris
installed; it stops at the first input that does anything but be read or be refused. The first byte
of an input says which reader it goes to.
"""

import resource
import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["shared"]):
    from shared.codecs import CODECS, make_codec
    from shared.errors import ProtocolError, WeightsError
    from shared.protocol.frames import Chunk
    from shared.protocol.messages import Announcement, Presence, decode_reply, decode_request
    from shared.protocol.part_file import PartFile, record_of
    from shared.update_file import UpdateFile
    from tests.shared.codecs.models import SMALL

MOST_MEMORY: Final = 2 << 30
"""Bytes of addresses; an input that makes more be set aside is a find."""

FOLDER: Final = Path(tempfile.mkdtemp(prefix="fuzz-"))


def read_frame(data: bytes) -> None:
    """Read a frame."""
    assert Chunk.decode(data).encode() == data


def read_words(data: bytes) -> None:
    """Read a message, as each that it may be."""
    decoders = (Announcement.decode, Presence.decode, decode_request, decode_reply)
    message = decoders[data[0] % len(decoders) if data else 0](data[1:])
    assert type(message).decode(message.encode()) == message


def read_record(data: bytes) -> None:
    """Read the record of a file that arrives in pieces."""
    path = FOLDER / "part"
    path.write_bytes(bytes(100))
    record_of(path).write_bytes(data)
    file = PartFile(path, 100, "ab" * 32)
    assert file.durable.total <= 100
    file.close()


def read_update(data: bytes) -> None:
    """Read an update's file, as of each codec."""
    path = FOLDER / "update"
    path.write_bytes(data[1:])
    names = list(CODECS)
    codec = make_codec(names[data[0] % len(names) if data else 0])
    assert UpdateFile(path, codec, SMALL).check(1e6) <= 1e6


READERS: Final = (read_frame, read_words, read_record, read_update)


def read_one(data: bytes) -> None:
    """Give an input to its reader."""
    reader = READERS[data[0] % len(READERS) if data else 0]
    problem = ""
    try:
        reader(data[1:])
    except (ProtocolError, WeightsError) as error:
        problem = error.problem
    assert not problem or problem.isprintable(), problem
    assert len(problem) < 1000, problem


def main() -> None:
    """Fuzz as the command line says."""
    # Not libFuzzer's own limit: it takes the peak of the process that started this one for ours.
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    atheris.Setup([*sys.argv, "-rss_limit_mb=0"], read_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

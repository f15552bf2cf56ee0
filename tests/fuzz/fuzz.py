"""A fuzzer of everything that reads bytes from outside (:mod:`tests.fuzz.readers`).

``python -m tests.fuzz.fuzz READER... [options of libFuzzer]`` with atheris installed; READER is one
of them, or ``decoders``: all that need no connection, chosen by the first byte. It begins with good
inputs, and stops at the first one that does anything but be read or be refused, or when memory has
grown. ``scripts/fuzz MINUTES`` lets each have its share of the time.

Of several, each is fuzzed in turn, in a process of its own, and may have its own number of inputs
(``READER=RUNS``): to let libFuzzer see into the modules takes ten seconds, and is done once.
"""

import os
import resource
import shutil
import sys
import warnings
from pathlib import Path
from typing import Final

import atheris

_INSTRUMENTED: Final = [
    *("shared", "soundfile", "tarfile", "tomllib", "paho"),
    *("aggregator.ledger.backup", "aggregator.enrolment.mosquitto", "converters.encoders"),
    *("edge_client.device.archive", "edge_client.words", "edge_client.simulation.partition_file"),
]
"""Where libFuzzer sees how far an input came."""

with atheris.instrument_imports(include=_INSTRUMENTED):
    from shared.errors import ChorusError
    from tests.fuzz.folder import FOLDER
    from tests.fuzz.readers import DECODERS, READERS, Reader

MOST_MEMORY: Final = 3 << 30
"""Bytes of addresses; an input that makes more be set aside is a find."""

GROWTH: Final = 200 << 20
"""Bytes that memory may grow by after the beginning: the fuzzer's own inputs take some."""

BEGINNING: Final = 5_000
LOOK_EVERY: Final = 1_000
"""Inputs."""


class Fuzzer:
    """Gives inputs to a reader.

    Parameters
    ----------
    reader
        What reads them.
    """

    def __init__(self, reader: Reader) -> None:
        self._read = reader.read
        self._count = 0
        self._memory = 0
        self._printed: list[object] = []
        # What a callback or a finaliser raises, Python prints for everybody to see, and goes on.
        sys.unraisablehook = lambda found: self._printed.append(found.exc_value)

    def __call__(self, data: bytes) -> None:
        """Give it one."""
        problem = ""
        try:
            self._read(data)
        except ChorusError as error:
            problem = error.problem
        assert not problem or problem.isprintable(), problem
        assert len(problem) < 1000, problem
        assert not self._printed, self._printed
        self._count += 1
        if self._count == BEGINNING:
            self._memory = _memory()
        elif self._count > BEGINNING and self._count % LOOK_EVERY == 0:
            assert _memory() < self._memory + GROWTH, "memory has grown"


def all_decoders() -> Reader:
    """Put all readers together that need no connection."""

    def read(data: bytes) -> None:
        READERS[DECODERS[data[0] % len(DECODERS) if data else 0]].read(data[1:])

    def inputs() -> list[bytes]:
        return [
            bytes([number]) + data
            for number, name in enumerate(DECODERS)
            for data in READERS[name].inputs()
        ]

    return Reader(read, inputs)


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz a reader, and end the process."""
    reader = all_decoders() if name == "decoders" else READERS[name]
    # Not libFuzzer's own limit: it takes the peak of the process that started this one for ours.
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    warnings.simplefilter("error", RuntimeWarning)  # people would see it
    shutil.rmtree(FOLDER)  # what the one before it has left
    corpus = FOLDER / "inputs"
    corpus.mkdir(parents=True)
    for number, data in enumerate(reader.inputs()):
        (corpus / str(number)).write_bytes(data)
    arguments = [
        "fuzz",
        "-rss_limit_mb=0",
        "-max_len=8192",
        "-len_control=0",
        "-timeout=60",
        *options,
        str(corpus),
    ]
    atheris.Setup(arguments, Fuzzer(reader))
    atheris.Fuzz()


def main() -> None:
    """Fuzz as the command line says."""
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    for word in sys.argv[1:]:
        if word in options:
            continue
        name, _, runs = word.partition("=")
        # libFuzzer ends its process without a word to Python: this one deletes what is in memory.
        process = os.fork()
        if not process:
            fuzz(name, [*options, *([f"-runs={runs}"] if runs else [])])
        _, status = os.waitpid(process, 0)
        if status:
            sys.exit(os.waitstatus_to_exitcode(status))


def _memory() -> int:
    """Give the bytes that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()

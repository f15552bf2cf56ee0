"""A real aggregator with its own broker, for what takes part from Python."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.brokers import free_port
from tests.end_to_end.federation.processes import Process


@contextmanager
def serving(folder: Path, words: str) -> Iterator[int]:
    """Serve a federation, with these words and a port and a folder of its own; give the port."""
    port = free_port()
    where = f" --port {port} --state {folder / 'aggregator'}"
    command = Path(sys.executable).with_name("aggregator")
    process = Process(folder / "aggregator.log", command, *(words + where).split())
    try:
        yield port
    finally:
        process.kill()

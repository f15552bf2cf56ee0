"""What tests share: real speech where it is present."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.brokers", "tests.peers"]

# A busy machine is not a failing test.
settings.register_profile("chorus", deadline=None)
settings.load_profile("chorus")


@pytest.fixture(scope="session")
def speech() -> Path:
    """Find the folder with real speech (``ravdess/``, ``emodb/``), or skip the test."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CHORUS_SPEECH", beside))
    if not (folder / "ravdess").is_dir():
        pytest.skip("no real speech: name its folder with CHORUS_SPEECH")
    return folder


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the handlers of signals back, and the log's."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    logs, level = list(root.handlers), root.level
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    root.handlers, root.level = logs, level

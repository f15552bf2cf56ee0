"""What tests share: real speech where it is present."""

import logging
import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.brokers", "tests.peers"]

# A busy machine is not a failing test.
settings.register_profile("chorus", deadline=None)
settings.load_profile("chorus")

# A shell that starts the suite in the background has it ignore Ctrl-C, and so would all it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix the modules, always in the same way: some compute, others wait for processes.

    In the order of their names one worker gets all of one kind, and the cores are idle at the end.
    Those of one page stay together: they share a browser. ``CHORUS_TEST_ORDER`` names another mix.
    """
    root = Path(__file__).parents[1]
    order = os.environ.get("CHORUS_TEST_ORDER", "")

    def mixed(item: pytest.Item) -> int:
        place = item.path.relative_to(root)
        module = place.parent if place.parent.name == "web" else place
        return zlib.crc32(f"{order}{module}".encode())

    items.sort(key=mixed)


@pytest.fixture(scope="session")
def speech() -> Path:
    """Find the folder with real speech (``ravdess/``, ``emodb/``), or skip the test."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CHORUS_SPEECH", beside))
    if not (folder / "ravdess").is_dir():
        pytest.skip("no real speech: name its folder with CHORUS_SPEECH")
    return folder


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put the handlers of signals back, and the log's: a command may run in a test's process.

    It logs to the test's own standard error, which is closed after it: lines of later tests would
    end in a complaint.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    level = root.level
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    root.setLevel(level)
    root.handlers = [each for each in root.handlers if type(each) is not logging.StreamHandler]

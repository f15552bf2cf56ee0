from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import leave_out_without_mosquitto
from tests.deployed import Deployed, make_credentials

FEDERATION = "home"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    leave_out_without_mosquitto()
    folder = tmp_path_factory.mktemp("credentials")
    made = make_credentials(
        folder,
        *("--host", "127.0.0.1", "--host", "broker.test", "--federation", FEDERATION),
        *(".", "kitchen", "desk"),
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def deployed(tmp_path: Path, credentials: Path) -> Iterator[Deployed]:
    broker = Deployed(tmp_path, credentials, FEDERATION)
    broker.start()
    yield broker
    broker.kill()

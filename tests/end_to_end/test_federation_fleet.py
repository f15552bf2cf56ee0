"""Many light clients: every update counts, and the aggregator's memory does not grow with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "fleet.py"


@pytest.mark.usefixtures("environment", "needs_mosquitto")
def test_fifty_light_clients_are_counted_in_the_memory_of_a_few() -> None:
    command = [sys.executable, BENCHMARK, "--clients", "50", "--few", "5", "--rounds", "2"]
    found = json.loads(subprocess.check_output([*map(str, command), "--json"]))
    for federation in found["federations"]:
        assert federation["counted"] == federation["sent"]
        assert not federation["refused"]
    few, many = (federation["memory"] for federation in found["federations"])
    # An update's bytes are 45 times more.
    assert many - few < 10 * found["update"] / 1e6 + 10

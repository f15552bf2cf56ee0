"""What joining loads."""

import subprocess
import sys


def test_who_joins_does_not_wait_for_numpy() -> None:
    look = "import sys, edge_client.join; print('numpy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    assert said.stdout == "False\n"

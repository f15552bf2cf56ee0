"""What docs/device.md says can be done in Python."""

import re
import subprocess
import sys
from pathlib import Path

import soundfile

from shared.audio import RATE
from tests.edge_client.device.heard import utterance

DOCUMENT = Path(__file__).parents[3] / "docs" / "device.md"


def test_the_example_runs(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "clip.wav", utterance().samples, RATE)
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert "DeviceEvent(kind='heard'" in lines[0]
    assert lines[1] == "None {}", "there is no model"
    assert lines[-1] == "1"

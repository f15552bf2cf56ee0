"""A line that breaks again and again, through real processes and a real broker."""

import threading
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.end_to_end.federation.clips import Clips, simulated
from tests.end_to_end.federation.processes import Processes
from tests.proxy import Proxy, proxy_to

pytestmark = pytest.mark.usefixtures("environment")

STRETCH = 1 << 19
"""Bytes after which the line breaks: a fourteenth of a model, or of an update."""

BREAKS = 14
"""Breaks at least: with waits that double each time the last ones would take minutes."""


class BreakingLine:
    """Breaks a line whenever so many bytes have passed, and joins it at once, until it is told."""

    def __init__(self, line: Proxy) -> None:
        self.breaks = 0
        self._line = line
        self._healed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def heal(self) -> None:
        self._healed.set()
        self._thread.join()

    def _run(self) -> None:
        last = 0
        while not self._healed.wait(0.01):
            if sum(self._line.passed) - last > STRETCH:
                self._line.cut()
                self.breaks += 1
                last = sum(self._line.passed)
                self._line.heal()


def test_a_line_that_breaks_again_and_again_is_tried_again_as_long_as_it_gets_on(
    tmp_path: Path, clips: Clips, mosquitto: Mosquitto
) -> None:
    with Processes(tmp_path, clips) as them, proxy_to(mosquitto.port) as line:
        line.delay(0.005)
        breaking = BreakingLine(line)
        them.serve(mosquitto.port)
        them.run(1, mosquitto.port)
        them.run(0, line.port)
        them.wait(lambda: breaking.breaks >= BREAKS, "it broke often")
        breaking.heal()
        line.delay(0)
        them.finish(simulated(clips.whole))

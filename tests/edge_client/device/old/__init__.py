"""What a device kept before there were tasks, as it wrote it then.

``examples.sqlite`` is a store of version 1: five utterances of four frames, the first heard before
there was a model; the second labelled happy, the third sad, the fourth discarded; running
statistics of all five. ``examples.npz`` is what it exported.
"""

from pathlib import Path
from typing import Final

OLD: Final = Path(__file__).parent

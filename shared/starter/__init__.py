"""The model that comes with the package, for devices and federations to begin with.

What it is, and what it reaches where, stands in ``card.md``.
"""

from pathlib import Path
from typing import Final

STARTER: Final = Path(__file__).parent / "starter.safetensors"
"""Its weights: a head for the front end ``whisper``."""

STARTER_PRIOR: Final = STARTER.with_suffix(".prior.safetensors")
"""What a device's statistics begin with beside it."""

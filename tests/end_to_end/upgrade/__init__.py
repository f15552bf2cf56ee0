"""States that earlier versions have made by their own commands, for later ones to go on with."""

from pathlib import Path
from typing import Final

STATES: Final = Path(__file__).parent
"""Where they are: a folder for each, with ``aggregator`` and ``device`` in it."""

PORT: Final = 20_002
"""What stands in their settings; another one is free when they are used."""

MADE_IN: Final = "/made/here"
"""The folder that their settings name."""

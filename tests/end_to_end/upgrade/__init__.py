"""States that earlier versions have made by their own commands, for later ones to go on with.

``make.py`` makes those in which a device has joined. 8761336 is older: there a device took part as
kitchen in two rounds of ``conv`` with ``--codecs float32``, at Mosquitto, and then ``aggregator
models rollback 0`` made the first model the current one. Of that its head alone is kept, the rest
being weights that a seed gives; the other models are left out.
"""

from pathlib import Path
from typing import Final

STATES: Final = Path(__file__).parent
"""Where they are: a folder for each, with ``aggregator`` and ``device`` in it."""

PORT: Final = 20_002
"""What stands in their settings; another one is free when they are used."""

MADE_IN: Final = "/made/here"
"""The folder that their settings name."""

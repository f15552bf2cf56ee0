"""Recognise clips.

    python examples/recognise.py model.safetensors clip.wav ...

A model comes from `edge-client simulate`, `aggregator models export`, or a device's state folder.
"""

import sys

from edge_client import Recogniser

model, *clips = sys.argv[1:]
recogniser = Recogniser(model)
for clip in clips:
    found = recogniser.recognise(clip)
    print(f"{clip}: {found.label} ({found.probabilities[found.label]:.0%})")

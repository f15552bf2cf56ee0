"""A process that listens: prints each event and utterance as a line of JSON, until it is killed.

    python -m tests.edge_client.hearing.listen FOLDER DEVICE

The sound of utterance N is FOLDER/N.npy.
"""

import json
import sys
from pathlib import Path

import numpy as np

from edge_client.hearing.microphone import Microphone
from edge_client.hearing.segmentation import Segmenter
from edge_client.hearing.source import SourceEvent


def main() -> None:
    folder = Path(sys.argv[1])
    segmenter = Segmenter()
    fresh, count = True, 0

    def told(event: SourceEvent) -> None:
        nonlocal fresh
        fresh = True
        say(kind=event.kind, detail=event.detail)

    for block in Microphone(sys.argv[2], on_event=told).blocks():
        if fresh:
            say(kind="hearing")
            fresh = False
        for utterance in segmenter.feed(block):
            np.save(folder / f"{count}.npy", utterance.samples)
            say(kind="utterance", number=count, start=utterance.start, seconds=utterance.seconds)
            count += 1


def say(**values: object) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

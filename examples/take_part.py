"""Take part in a federation, and recognise a clip with each model that comes of it.

In one terminal, a federation of three rounds that one client is enough for, and that waits for no
new examples:

    aggregator serve --embedded-broker --quorum 1 --rounds 3 --new-examples 0 --every 0

In another, with clips in folders named by label (angry/, happy/, neutral/, sad/):

    python examples/take_part.py clips/ my-program

Ctrl-C ends it in good order; the same command goes on from there.
"""

import logging
import sys
from pathlib import Path

from edge_client import Recogniser, take_part


def main(folder, client, broker="127.0.0.1"):
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    clips = [(path, path.parent.name) for path in sorted(Path(folder).glob("*/*.wav"))]
    first, label = clips[0]

    def show(model):
        found = Recogniser(model.path).recognise(first)
        print(f"after {model.rounds} rounds: {first.name} is {found.label}, and was {label}")

    part = take_part(
        clips,
        folder=f"runs/{client}",
        client=client,
        broker=broker,
        on_model=show,
        until_final=True,
    )
    print(f"updates that counted: {part.wait()}")


if __name__ == "__main__":  # other processes that compute features import this file, too
    main(*sys.argv[1:])

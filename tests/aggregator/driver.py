"""A federation without network, for tests: real ledger, models and updates' files."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aggregator.ledger import CheckedUpdate
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Closed, Opened, Step
from aggregator.settings import AggregatorSettings
from aggregator.strategies import Update
from shared.codecs import make_codec
from shared.codecs.update_file import UpdateFile, encode_update
from shared.randomness import stream
from shared.weights import Weights
from tests.edge_client.tiny import TINY

CLIENTS = ("anna", "ben", "cleo", "dora")
CONFUSION = [[3, 1, 0, 0], [0, 4, 0, 0], [0, 0, 2, 2], [1, 0, 0, 3]]


UNPACED: Mapping[str, float] = {"new_examples": 0, "least_examples": 1, "every": 0}
"""Settings with which one round follows the other, whatever there is to learn."""


def settings(state: Path, **values: Any) -> AggregatorSettings:
    # Updates arrive as they were drawn.
    given = {"state": state, "rounds": 3, "codecs": "float32", **UNPACED, **values}
    return AggregatorSettings.parse(given)


def random_update(client: str, number: int, examples: int = 7) -> Update:
    delta = stream(5, client, number).standard_normal(TINY.parameters, np.float32) / 100
    return Update(client, examples, delta)


def put(federation: Federation, number: int, update: Update) -> Step:
    """Do what becomes of an update that has arrived: write, check, enter, count."""
    name = federation.settings.codecs[0]
    path = federation.folder.update(number, update.client)
    control = None if update.control is None else update.control[:]
    rng = stream(0, "codec", update.client, number)
    encode_update(update.delta[:], TINY, make_codec(name), rng, control=control).write(path)
    file = UpdateFile(path, make_codec(name), TINY, ["control"] if control is not None else ())
    norm = file.check(federation.settings.largest_norm)
    federation.ledger.accept(
        CheckedUpdate(
            round=number,
            client=update.client,
            digest=f"{number:032x}{update.client:>32}".replace(" ", "0"),
            bytes=path.stat().st_size,
            codec=name,
            examples=update.examples,
            norm=norm,
            loss=0.5,
            confusion=CONFUSION,
        )
    )
    return federation.rounds.accept(update.client)


def come(federation: Federation, clients: Sequence[str] = CLIENTS) -> Opened | None:
    """Let clients come; open the round that opens."""
    opened = None
    for client in clients:
        federation.rounds.present.come(client)
        step = federation.rounds.look(0)
        if isinstance(step, Opened):
            federation.open_round(step)
            opened = step
    return opened


def play(federation: Federation, opened: Opened) -> Step:
    """Play a round with random updates to its end; give what comes next."""
    step: Step = None
    for client in opened.invited:
        step = put(federation, opened.number, random_update(client, opened.number))
    assert isinstance(step, Closed)
    federation.close_round(step)
    following = federation.rounds.end(0)
    if isinstance(following, Opened):
        federation.open_round(following)
    return following


def kill(federation: Federation) -> None:
    """Let a process end as by ``kill -9``: nothing is written any more, the lock is gone."""
    federation.ledger._connection.close()
    os.close(federation.ledger._locked)


def weights_of(federation: Federation) -> Weights:
    return federation.files.weights(federation.current.digest)

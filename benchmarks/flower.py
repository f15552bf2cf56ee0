"""Rounds of Flower's simulation on Ray, with the clients that benchmarks/ray.py measures.

``benchmarks/ray.py --flower PYTHON`` starts it, with the Python of an environment that has
``flwr[simulation]`` beside what this project needs. A client is given what Flower offers at its
best: its worker keeps the compiled model, maps the examples from one file that all workers share,
and runs our own client's round. So the difference is what comes between the clients.
"""

import json
import resource
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.ray import Measured, now, of_a_round, peaks_of, settings_of
from edge_client.learning.training import Engine
from edge_client.simulation.client_work import ClientWork, RoundWork, train_client
from edge_client.simulation.data import ClientShares, prepare
from edge_client.simulation.engines import make_engine
from edge_client.simulation.federation import client_name
from edge_client.simulation.own_model import model_of
from edge_client.simulation.poisoning import Poisoning
from edge_client.simulation.utterances import load_utterances
from shared.codecs import make_codec
from shared.tflite import physical_cores
from shared.training import Examples
from shared.weights import initial_weights

_ACTOR = b"ray::ClientAppActor"


def keep(shares: ClientShares, folder: Path) -> None:
    """Write the clients' examples where all workers find them."""
    np.save(folder / "features.npy", shares.whole.features)
    np.savez(
        folder / "others.npz",
        frames=shares.whole.frames,
        labels=shares.whole.labels,
        places=np.concatenate(shares.places),
        ends=np.cumsum([len(place) for place in shares.places]),
    )


@cache
def shares_in(folder: str) -> ClientShares:
    """Map the clients' examples into a worker's memory."""
    features = np.load(Path(folder, "features.npy"), mmap_mode="r")
    with np.load(Path(folder, "others.npz")) as others:
        whole = Examples(features, others["frames"], others["labels"])
        return ClientShares(whole, np.split(others["places"], others["ends"][:-1]))


@cache
def engine_of(asked: Measured) -> Engine:
    """Give a worker its engine, compiled once."""
    settings = settings_of(asked)
    return make_engine(settings.engine, model_of(settings.model, settings.task), threads=1)


client_app = ClientApp()


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """Do what a client does in a round."""
    config = message.content["config"]
    asked = Measured(config["model"], config["clients"])
    settings = settings_of(asked)
    (weights,) = message.content["arrays"].to_numpy_ndarrays()
    index, number = int(context.node_config["partition-id"]), config["server-round"]
    poisoning = Poisoning(settings, len(settings.task.labels))
    outcome = train_client(
        RoundWork(number, settings.seed, weights, settings.announced(number), poisoning),
        ClientWork(index, client_name(index), make_codec(settings.codec)),
        shares_in(config["folder"])[index],
        engine_of(asked),
    )
    content = RecordDict(
        {
            "arrays": ArrayRecord([weights + np.asarray(outcome.encoded.delta)]),
            "metrics": MetricRecord({"num-examples": outcome.examples}),
        }
    )
    return Message(content=content, reply_to=message)


def measure(asked: Measured) -> dict[str, Any]:
    """Run rounds; give what one takes after the first, and the peaks in MB."""
    settings = settings_of(asked)
    architecture = model_of(settings.model, settings.task)
    times, peaks = [], []
    server_app = ServerApp()

    def note(number: int, _: ArrayRecord) -> None:
        times.append(now())
        if number > asked.rounds:
            peaks.extend(peaks_of(_ACTOR))

    with tempfile.TemporaryDirectory() as folder:
        keep(prepare(load_utterances(settings, progress=False), settings).clients, Path(folder))

        @server_app.main()
        def main(grid: Grid, _: Context) -> None:
            FedAvg(
                fraction_train=asked.drawn / asked.clients,
                fraction_evaluate=0.0,
                min_train_nodes=asked.drawn,
                min_available_nodes=asked.clients,
            ).start(
                grid,
                ArrayRecord([initial_weights(architecture, np.random.default_rng(0))]),
                num_rounds=asked.rounds + 1,
                train_config=ConfigRecord(
                    {"model": asked.model, "clients": asked.clients, "folder": folder}
                ),
                evaluate_fn=note,
            )

        run_simulation(
            server_app,
            client_app,
            num_supernodes=asked.clients,
            backend_config={
                "init_args": {"address": "local", "num_cpus": physical_cores()},
                "client_resources": {"num_cpus": 1},
            },
        )
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**of_a_round(times), "peaks": [own, *peaks]}


def main() -> None:
    """Measure one federation, as ray.py asks for it, and write what was found to a file."""
    # Workers find functions by the module's name, and keep what is cached there.
    from benchmarks.flower import measure

    model, clients, per_round, data, rounds, out = sys.argv[1:]
    asked = Measured(model, int(clients), int(per_round), data, int(rounds))
    Path(out).write_text(json.dumps(measure(asked)))


if __name__ == "__main__":
    main()

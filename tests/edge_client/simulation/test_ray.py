"""Clients trained on a Ray cluster of several nodes: the same bits as in one process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.learning.client_round import Contribution
from edge_client.simulation import round_updates
from edge_client.simulation.client_work import ClientWork, RoundWork, Workers
from edge_client.simulation.data import ClientShares
from edge_client.simulation.engines import make_engine
from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.own_model import model_of
from edge_client.simulation.ray_cluster import Crew, check_ray, connected
from edge_client.simulation.ray_workers import RayWorkers
from edge_client.simulation.secure_federation import SecureFederation
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.simulating import simulate
from shared.command import INTERRUPTED
from shared.errors import MissingPartError, SettingsError, TrainingError
from shared.layers import HEAD, Dense
from shared.weights import Weights, initial_weights, load_weights
from tests.brokers import free_port
from tests.edge_client.tiny import examples
from tests.end_to_end.test_simulate import until

ROOT = Path(__file__).parents[3]

LAYERS = (Dense("dense1", 3), Dense(HEAD, 4))
"""The model of the clients."""

CLIENTS = ClientShares(
    examples(60), [np.arange(start, start + 4 + start % 3) for start in range(0, 48, 4)]
)


def simulation(**values: Any) -> SimulationSettings:
    given = {"model": f"{__name__}:LAYERS", "engine": "tflite", "learning_rate": 0.01}
    return SimulationSettings.parse({**given, "rounds": 4, **values})


def weights_after(
    rounds: int, workers: Workers | None, clients: ClientShares = CLIENTS, **values: Any
) -> Weights:
    """Run rounds, here or on the cluster."""
    settings = simulation(**values)
    architecture = model_of(settings.model, settings.task)
    kind = SecureFederation if settings.secure else SimulatedFederation
    engine = make_engine(settings.engine, architecture, 1)
    federation = kind(settings, [engine], clients, workers=workers)
    weights = initial_weights(architecture, np.random.default_rng(0))
    for number in range(1, rounds + 1):
        weights = federation.run(number, weights).weights
    return weights


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Start two Ray nodes, each of processes of its own, and connect to them."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'chorus-edge[ray]'")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        nodes = Cluster()
        for _ in range(2):
            nodes.add_node(num_cpus=1, include_dashboard=False, object_store_memory=80 << 20)
        try:
            with connected(nodes.address) as address:
                assert address == nodes.address
                yield nodes
        finally:
            nodes.shutdown()


@pytest.fixture(scope="module")
def crew(cluster: Any) -> Iterator[Crew]:
    assert cluster
    actors = Crew(simulation())
    actors.resize(2)
    all_ready(actors, 2)
    yield actors
    actors.resize(0)


def all_ready(actors: Crew, count: int) -> None:
    while len(actors.ready) < count:
        actors.wait([])


def workers_of(crew: Crew) -> RayWorkers:
    return RayWorkers(crew, CLIENTS, 1000)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"clients_per_round": 5, "client_dropout": 0.2},
        {"codec": "top10-sign", "strategy": "fedadam"},
        {"strategy": "scaffold", "optimizer": "sgd"},
        {"attack": "label-flip", "attackers": 3, "strategy": "median"},
        {"secure": True},
    ],
    ids=lambda values: "-".join(values) or "fedavg",
)
def test_two_nodes_give_the_bits_of_one_process(crew: Crew, values: dict[str, Any]) -> None:
    expected = weights_after(2, None, **values)
    assert weights_after(2, workers_of(crew), **values).tobytes() == expected.tobytes()


def test_clients_trained_twice_in_the_first_round_give_the_bits_of_those_kept_on_the_disk(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = weights_after(2, None, codec="top10-sign")
    monkeypatch.setattr(round_updates, "MOST_KEPT", 0)
    assert weights_after(2, workers_of(crew), codec="top10-sign").tobytes() == expected.tobytes()


def test_what_a_client_cannot_train_on_is_said_as_in_one_process(crew: Crew) -> None:
    whole = examples(60)
    whole.features[:] = np.nan
    damaged = ClientShares(whole, CLIENTS.places)
    with pytest.raises(TrainingError) as here:
        weights_after(1, None, clients=damaged)
    with pytest.raises(TrainingError) as there:
        weights_after(1, RayWorkers(crew, damaged, 1000), clients=damaged)
    assert there.value.message == here.value.message


class Losing:
    """Has something happen when the first update of the second round has come."""

    def __init__(self, workers: Workers, happens: Callable[[], None]) -> None:
        self._workers = workers
        self._happens = happens

    def contributions(
        self, work: RoundWork, indices: Sequence[int], given: Callable[[int], ClientWork]
    ) -> Iterator[Contribution]:
        for place, one in enumerate(self._workers.contributions(work, indices, given)):
            if work.number == 2 and place == 0:
                self._happens()
            yield one


def test_an_actor_that_dies_in_a_round_is_replaced_and_the_bits_are_the_same(crew: Crew) -> None:
    import ray

    all_ready(crew, 2)
    dead = crew.ready[0]
    losing = Losing(workers_of(crew), lambda: ray.kill(dead))
    assert weights_after(3, losing).tobytes() == weights_after(3, None).tobytes()
    all_ready(crew, 2)
    assert dead not in crew.ready


def test_a_node_killed_in_a_round_of_three_costs_nothing_but_its_work(
    cluster: Any, crew: Crew
) -> None:
    third = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    crew.resize(3)
    all_ready(crew, 3)
    before = list(crew.ready)
    losing = Losing(workers_of(crew), lambda: cluster.remove_node(third, allow_graceful=False))
    assert weights_after(3, losing).tobytes() == weights_after(3, None).tobytes()
    assert sum(actor in crew.ready for actor in before) == 2, "it was there"


def test_a_node_with_another_version_of_a_package_is_named(
    cluster: Any, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "numpy-0.0.1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    all_ready(crew, 2)
    third = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    try:
        crew.resize(3)
        with pytest.raises(
            MissingPartError, match=rf"has numpy 0\.0\.1, this machine has {np.__version__}"
        ):
            all_ready(crew, 3)
    finally:
        cluster.remove_node(third, allow_graceful=False)
    assert len(crew.ready) == 2, "the others train on"


@pytest.fixture
def free_core(crew: Crew) -> Iterator[None]:
    """Leave a core of the cluster to a command's own actor."""
    crew.resize(1)
    yield
    crew.resize(2)


def command(*arguments: str) -> list[str]:
    """Give the line of a command in a process of its own."""
    script = "from edge_client.cli import main; main()"
    return [sys.executable, "-c", script, "simulate", *arguments]


def test_a_command_on_ray_stopped_and_resumed_gives_the_result_of_one_process(
    cluster: Any, free_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert free_core is None
    monkeypatch.setenv("CHORUS_CACHE", str(tmp_path / "cache"))
    values: dict[str, Any] = {"model": f"{__name__}:LAYERS", "engine": "tflite", "rounds": 100}
    values |= {"clients": 3, "steps": 1, "learning_rate": 0.01}
    values |= {"strategy": "scaffold", "optimizer": "sgd"}
    here = simulate(**values)

    options = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    out = tmp_path / "run"
    line = command(*options, "--ray", cluster.address, "--threads=1", f"--out={out}")
    stopped = until(line, "round 5/", lambda process: process.send_signal(signal.SIGINT))
    assert stopped.code == INTERRUPTED, stopped.err
    assert "--resume" in stopped.err
    assert "Traceback" not in stopped.err
    assert not (out / "result.json").exists()

    ended = subprocess.run(
        [*line, "--resume", "--json"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "round 5/" not in ended.stderr, "it went on"
    assert "round 100/100" in ended.stderr
    there = json.loads(ended.stdout)
    assert there == json.loads((out / "result.json").read_text())
    assert there["confusion"] == here.confusion.tolist()
    weights = load_weights(out / "model.safetensors", here.architecture)
    assert weights.tobytes() == here.weights.tobytes()


@contextmanager
def said_of_cluster(changed: Mapping[str, str]) -> Iterator[None]:
    """Have a cluster say something else of itself to who asks to be let in."""
    from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY
    from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

    place = {"namespace": "cluster"}
    before = _internal_kv_get(CLUSTER_METADATA_KEY, **place)
    other = json.dumps(json.loads(before) | changed).encode()
    _internal_kv_put(CLUSTER_METADATA_KEY, other, overwrite=True, **place)
    try:
        yield
    finally:
        _internal_kv_put(CLUSTER_METADATA_KEY, before, overwrite=True, **place)


def test_a_cluster_of_another_version_is_named(cluster: Any) -> None:
    line = command("--ray", cluster.address)
    with said_of_cluster({"ray_version": "2.9.3"}):
        done = subprocess.run(
            line, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
        )
    assert done.returncode == MissingPartError.exit_code, done.stderr
    assert f"The Ray at {cluster.address} is of another version" in done.stderr
    assert "Install the same versions on all machines of the Ray cluster." in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_where_nobody_is_or_that_is_none() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'chorus-edge[ray]'")
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(MissingPartError, match=f"There is no Ray at {address}"), connected(address):
        pass
    for text in ("nonsense", "ray://127.0.0.1:10001", "127.0.0.1:x"):
        with pytest.raises(SettingsError, match="is no HOST:PORT"), connected(text):
            pass


def test_ray_that_is_missing_is_named() -> None:
    script = (
        "import sys; from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        return None if name == 'ray' else PathFinder.find_spec(name, path, target)\n"
        "sys.meta_path = [f for f in sys.meta_path if f is not PathFinder] + [Without]\n"
        "from edge_client.cli import main\n"
        "sys.argv = ['edge-client', 'simulate', '--ray']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == MissingPartError.exit_code
    assert "pip install 'chorus-edge[ray]'" in done.stderr


def test_ray_is_found_where_it_is_installed() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'chorus-edge[ray]'")
    check_ray()

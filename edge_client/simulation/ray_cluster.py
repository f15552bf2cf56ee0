"""A Ray cluster, local or on many machines, and the actors in it that train clients."""

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final

from edge_client.learning.client_round import Contribution
from edge_client.learning.training import Engine
from edge_client.simulation.client_work import ClientWork, RoundWork, train_client
from edge_client.simulation.engines import make_engine
from edge_client.simulation.own_model import model_of
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import Indices
from edge_client.simulation.versions import installed_versions
from shared.errors import ChorusError, MissingPartError, SettingsError, reason_of
from shared.tflite import physical_cores
from shared.training import Examples

LOCAL: Final = "local"
"""The address of a Ray of one's own, on this machine's cores, for as long as the command runs."""

_CONNECT_SECONDS: Final = 5.0
"""Ray itself asks for minutes whether anybody is there."""

_START_SECONDS: Final = 120.0
"""How long no actor at all may be ready."""

_MOST_FAILURES: Final = 3
"""Actors that fail one after the other before they are ready."""

_SAME_EVERYWHERE: Final = "Install the same versions on all machines of the Ray cluster."


class ClientTrainer:
    """What an actor is: it trains clients with one engine, compiled once."""

    _engine: Engine

    def prepare(self, settings: SimulationSettings) -> tuple[str, dict[str, str]]:
        """Make the engine; give this machine's name and versions."""
        architecture = model_of(settings.model, settings.task)
        self._engine = make_engine(settings.engine, architecture, threads=1)
        return socket.gethostname(), installed_versions()

    def train(
        self, work: RoundWork, whole: Examples, clients: Sequence[tuple[ClientWork, Indices]]
    ) -> list[Contribution]:
        """Train clients, one after the other, each on its examples among all."""
        return [
            train_client(work, client, whole.take(place), self._engine) for client, place in clients
        ]


def check_ray() -> None:
    """Raise :class:`MissingPartError` if Ray is not installed."""
    if find_spec("ray") is None:
        raise MissingPartError(
            "--ray needs ray, which is not installed.",
            "Install it with: pip install 'chorus-edge[ray]'",
        )


@contextmanager
def connected(address: str) -> Iterator[str]:
    """Connect this process to a Ray cluster, or start one of its own.

    Parameters
    ----------
    address
        HOST:PORT of a cluster that this machine belongs to; ``auto`` for the one that runs on
        this machine; :data:`LOCAL`.

    Yields
    ------
    str
        HOST:PORT, by which other processes of this machine reach the same cluster.

    Raises
    ------
    MissingPartError
        If Ray is not installed, there is none at the address, or it is another version.
    SettingsError
        If the address is none.
    """
    check_ray()
    if address not in (LOCAL, "auto"):
        _check_address(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to Ray's makers
    import ray

    own = {"num_cpus": physical_cores(), "include_dashboard": False} if address == LOCAL else {}
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except ConnectionError as error:
        raise _nobody(address) from error
    except SystemExit as error:  # Ray ends a process that it cannot connect
        raise _nobody(address) from error
    except RuntimeError as error:
        if "ersion" not in str(error):
            raise MissingPartError(
                f"The Ray at {address} cannot be used ({reason_of(error)}).",
                "Look at its logs, below /tmp/ray.",
            ) from error
        raise MissingPartError(
            f"The Ray at {address} is of another version, or runs with another Python, than ray "
            f"{ray.__version__} here.",
            _SAME_EVERYWHERE,
        ) from error
    for number, handler in before.items():
        signal.signal(number, handler)
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise unless somebody listens there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise SettingsError(
            f"--ray {address} is no HOST:PORT.",
            "Give what 'ray start --head' prints, or auto; or none, for this machine alone.",
        )
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _nobody(address) from error


def _nobody(address: str) -> MissingPartError:
    return MissingPartError(
        f"There is no Ray at {address}.",
        "Start one with 'ray start --head' there, and let this machine join it.",
    )


def cluster_cores() -> int:
    """Count the cores of all machines of the cluster."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))


class Crew:
    """Actors with one model, which live as long as runs of it.

    Parameters
    ----------
    settings
        Which model and engine.

    Attributes
    ----------
    ready
        The actors that can be given work.
    """

    def __init__(self, settings: SimulationSettings) -> None:
        import ray

        self._settings = settings
        self._kind = ray.remote(ClientTrainer).options(num_cpus=1)
        self._starting: dict[Any, Any] = {}
        self._failures = 0
        self.ready: list[Any] = []

    def resize(self, count: int) -> None:
        """Have so many actors, some of them perhaps not ready yet."""
        import ray

        while len(self.ready) + len(self._starting) < count:
            self._start()
        while len(self.ready) + len(self._starting) > count:
            actor = self._starting.popitem()[1] if self._starting else self.ready.pop()
            ray.kill(actor)

    def lose(self, actor: Any) -> None:
        """Replace an actor that has died, or lost what it computed."""
        import ray

        if actor in self.ready:
            self.ready.remove(actor)
            ray.kill(actor)
            self._start()

    def wait(self, working: Sequence[Any]) -> list[Any]:
        """Wait until some of this work is done, or another actor is ready.

        Returns
        -------
        list
            The work that is done, or whose actor has died.

        Raises
        ------
        MissingPartError
            If no machine of the cluster can train.
        """
        import ray

        patience = None if self.ready else _START_SECONDS
        done, _ = ray.wait([*working, *self._starting], num_returns=1, timeout=patience)
        if not done:
            raise MissingPartError(
                f"No worker could start on the Ray cluster within {_START_SECONDS:.0f} s.",
                "Wait until it has a free core, or add a machine to it.",
            )
        for reference in done:
            if reference in self._starting:
                self._welcome(reference)
        return [reference for reference in done if reference in working]

    def _start(self) -> None:
        actor = self._kind.remote()
        self._starting[actor.prepare.remote(self._settings)] = actor

    def _welcome(self, reference: Any) -> None:
        """Let an actor work that has prepared itself."""
        from ray.exceptions import RayError

        actor, ours = self._starting.pop(reference), installed_versions()
        try:
            node, theirs = result_of(reference)
        except RayError as error:
            self._failures += 1
            if self._failures < _MOST_FAILURES:
                self._start()
                return
            last = str(error).strip().rpartition("\n")[2].rstrip(".")
            raise MissingPartError(
                f"A machine of the Ray cluster cannot train ({last}).", _SAME_EVERYWHERE
            ) from error
        for name in sorted(ours.keys() | theirs.keys()):
            if (here := ours.get(name, "none")) != (there := theirs.get(name, "none")):
                raise MissingPartError(
                    f"{node} in the Ray cluster has {name} {there}, this machine has {here}.",
                    _SAME_EVERYWHERE,
                )
        self._failures = 0
        self.ready.append(actor)


def result_of(reference: Any) -> Any:
    """Give what an actor's work came to; raise what it raised, if that is for its user."""
    import ray
    from ray.exceptions import RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, ChorusError):
            raise error.cause from error
        raise

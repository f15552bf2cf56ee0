"""The clients of a round, trained by the actors of a Ray cluster.

The global weights go into Ray's object store once a round, the examples once a run, so that a
machine needs no corpus. An actor is given several clients at a time and gives back their updates,
which are taken in the clients' order, as those of one process are: float32 sums depend on their
order, and so the next weights are the same, bit for bit, whatever the number of actors. What an
actor or a machine that dies had been given, others are given again.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from edge_client.learning.client_round import Contribution
from edge_client.learning.training import Engine
from edge_client.simulation.client_work import ClientWork, RoundWork, Workers
from edge_client.simulation.data import ClientShares
from edge_client.simulation.engines import Engines
from edge_client.simulation.federation import clients_of_round
from edge_client.simulation.ray_cluster import Crew, cluster_cores, connected, result_of
from edge_client.simulation.settings import SimulationSettings
from shared.errors import MissingPartError

_AT_ACTOR: Final = 2
"""Batches an actor has at a time: one that it trains, and the next."""

_BATCHES_EACH: Final = 4
"""Batches of a round for each actor, at least, so that all have finished at about the same time."""

_BATCH_CLIENTS: Final = 64
"""Clients of a batch, at most: the cost of a call is nothing beside their training."""

_BATCH_BYTES: Final = 8 << 20
"""Bytes of a batch's updates, at most, unless one client has more."""

_MOST_TRIES: Final = 4
"""Actors that a batch may cost before it is to blame."""


class RayEngines(Engines):
    """Engines of which one evaluates here; clients are trained by actors of the cluster."""

    def __init__(self) -> None:
        super().__init__()
        self._crew: tuple[object, Crew] | None = None

    def get(self, settings: SimulationSettings) -> Sequence[Engine]:
        """Give the engine that evaluates, and trains the baseline."""
        return super().get(settings.model_copy(update={"threads": 1}))

    def workers(self, settings: SimulationSettings, clients: ClientShares) -> Workers:
        """Give the actors: one a core, or as many as ``threads`` says, of the run's model."""
        wanted = min(settings.threads or cluster_cores(), cluster_cores())
        model = (settings.engine, settings.model, settings.task)
        if self._crew and self._crew[0] != model:
            self._crew[1].resize(0)
            self._crew = None
        self._crew = self._crew or (model, Crew(settings))
        crew = self._crew[1]
        crew.resize(max(1, min(wanted, clients_of_round(settings, len(clients)))))
        return RayWorkers(crew, clients, 4 * self.get(settings)[0].architecture.parameters)


@contextmanager
def engines_at(address: str | None) -> Iterator[Engines]:
    """Connect to a Ray cluster (:func:`.ray_cluster.connected`), and give engines that use it.

    Without an address, give those of this process.
    """
    if address is None:
        yield Engines()
    else:
        with connected(address):
            yield RayEngines()


class RayWorkers:
    """See :class:`.client_work.Workers`.

    Parameters
    ----------
    crew
        The actors.
    clients
        Each client's examples.
    update_bytes
        What a client's update takes.
    """

    def __init__(self, crew: Crew, clients: ClientShares, update_bytes: int) -> None:
        import ray

        self._crew = crew
        self._places = clients.places
        self._whole = ray.put(clients.whole)
        self._update_bytes = update_bytes

    def contributions(
        self, work: RoundWork, indices: Sequence[int], given: Callable[[int], ClientWork]
    ) -> Iterator[Contribution]:
        """Train clients in batches on all actors; give what they send in the clients' order."""
        import ray

        size = self._batch_size(len(indices))
        batches = [indices[start : start + size] for start in range(0, len(indices), size)]
        round_ = _Round(ray.put(work), self._whole, batches)
        following = 0
        while following < len(batches):
            self._give(round_, following, given)
            for reference in self._crew.wait(list(round_.at)):
                self._take(round_, reference)
            while following in round_.done:
                yield from round_.done.pop(following)
                following += 1

    def _batch_size(self, clients: int) -> int:
        """Choose how many clients a batch has."""
        actors = max(1, len(self._crew.ready))
        return max(
            1,
            min(
                _BATCH_CLIENTS,
                clients // (_BATCHES_EACH * actors),
                _BATCH_BYTES // self._update_bytes,
            ),
        )

    def _give(self, round_: "_Round", following: int, given: Callable[[int], ClientWork]) -> None:
        """Give batches to actors that have room; none so far ahead that updates would pile up."""
        actors = self._crew.ready
        last = following + 2 * _AT_ACTOR * len(actors)
        for room in range(1, _AT_ACTOR + 1):
            for actor in actors:
                busy = sum(actor is other for other, _ in round_.at.values())
                if busy < room and round_.waiting and round_.waiting[0] < last:
                    number = heapq.heappop(round_.waiting)
                    batch = [(given(i), self._places[i]) for i in round_.batches[number]]
                    reference = actor.train.remote(round_.work, round_.whole, batch)
                    round_.at[reference] = (actor, number)

    def _take(self, round_: "_Round", reference: Any) -> None:
        """Take a batch's updates, or have it trained again."""
        from ray.exceptions import RayError, RayTaskError

        actor, number = round_.at.pop(reference)
        try:
            round_.done[number] = result_of(reference)
        except RayTaskError:
            raise  # a fault of ours, not a death
        except RayError as error:
            self._crew.lose(actor)
            round_.tries[number] += 1
            if round_.tries[number] >= _MOST_TRIES:
                first, last = round_.batches[number][0], round_.batches[number][-1]
                raise MissingPartError(
                    f"{_MOST_TRIES} workers of the Ray cluster have died one after the other while "
                    f"they trained the clients {first} to {last}.",
                    "Give each more memory: fewer --threads, or a smaller --batch-size.",
                ) from error
            heapq.heappush(round_.waiting, number)


class _Round:
    """Where the batches of a round are."""

    def __init__(self, work: Any, whole: Any, batches: Sequence[Sequence[int]]) -> None:
        self.work = work
        self.whole = whole
        self.batches = batches
        self.waiting = list(range(len(batches)))
        self.at: dict[Any, tuple[Any, int]] = {}
        self.done: dict[int, list[Contribution]] = {}
        self.tries: Counter[int] = Counter()

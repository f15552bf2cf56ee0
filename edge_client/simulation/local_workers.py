"""Clients that train side by side in this process, one on each engine."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from threading import Event

from edge_client.learning.client_round import Contribution
from edge_client.learning.training import Engine
from edge_client.simulation.client_work import ClientWork, RoundWork, train_client
from shared.training import Examples


class LocalWorkers:
    """See :class:`.client_work.Workers`.

    Parameters
    ----------
    engines
        What trains: one for each client that is trained at the same time.
    clients
        Each client's examples.
    """

    def __init__(self, engines: Sequence[Engine], clients: Sequence[Examples]) -> None:
        self._engines = engines
        self._clients = clients

    def contributions(
        self, work: RoundWork, indices: Sequence[int], given: Callable[[int], ClientWork]
    ) -> Iterator[Contribution]:
        """Train as many clients at a time as there are engines."""
        free: SimpleQueue[Engine] = SimpleQueue()
        for engine in self._engines:
            free.put(engine)
        abandoned = Event()

        def task(index: int) -> Contribution:
            engine = free.get()
            try:
                examples = self._clients[index]
                return train_client(
                    work, given(index), examples, engine, lambda _: abandoned.is_set()
                )
            finally:
                free.put(engine)

        pending: deque[Future[Contribution]] = deque()
        with ThreadPoolExecutor(len(self._engines), "client") as pool:
            try:
                for index in indices:
                    if len(pending) == len(self._engines):
                        # The next client begins before what is done with this one's outcome.
                        wait([pending[0]])
                    pending.append(pool.submit(task, index))
                    if len(pending) > len(self._engines):
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                # After Ctrl-C or an error the others stop at their next step.
                abandoned.set()
                pool.shutdown(cancel_futures=True)

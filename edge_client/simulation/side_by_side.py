"""Several runs at a time, each in a process of its own: what happens to one harms no other."""

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_client.simulation.engines import Engines
from edge_client.simulation.progress import RunProgress, WatchedRun
from edge_client.simulation.ray_workers import engines_at
from edge_client.simulation.run import Stopped
from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.study import Corpora, Planned, Watch, check_all, finish, take
from shared.command import progress_console
from shared.errors import ChorusError, RunError, reason_of

if TYPE_CHECKING:
    from rich.console import Console

_SPAWN: Final = multiprocessing.get_context("spawn")
"""TensorFlow and threads do not survive a fork."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A worker says how many rounds there are, and were done before."""

    done: int
    rounds: int


@dataclass(frozen=True, slots=True)
class _Ended:
    """A worker says that its run is finished, or why not."""

    failure: str = ""


def execute_side_by_side(
    plan: Sequence[Planned],
    console: "Console",
    place: Path,
    *,
    jobs: int,
    overwrite: bool = False,
    watch: Watch = lambda run, _: run,
    ray: str | None = None,
) -> dict[str, str]:
    """Make all runs of a plan but those that are finished, several at a time.

    Parameters
    ----------
    plan
        The runs.
    console
        Where to show how it is going.
    place
        The folder of the study: no other process makes runs there meanwhile.
    jobs
        How many at a time.
    overwrite
        Begin anew, and do not go on with what is there.
    watch
        Gives what watches a run, in this process.
    ray
        Address of the Ray cluster that trains the clients of all runs; ``None`` for this machine.

    Returns
    -------
    dict
        Why runs failed, by title; the others are finished.

    Raises
    ------
    ChorusError
        If a run cannot start at all, or another process makes the study. No run was touched.
    Stopped
        After Ctrl-C; what was reached is kept.
    """
    works = check_all(plan, Corpora(console), resume=not overwrite, overwrite=overwrite)
    with RunFolder(place).locked(), RunProgress(console, sum(works)) as progress:
        take(plan, resume=not overwrite, overwrite=overwrite)
        watched = [
            watch(progress.run(planned.heading, its_work), planned)
            for planned, its_work in zip(plan, works, strict=True)
        ]
        pool = _Pool(plan, watched, console, ray)
        try:
            return pool.run(jobs)
        except KeyboardInterrupt:
            raise Stopped(
                "Stopped; the folders of the runs keep what was reached.",
                "The same command goes on with it.",
            ) from None
        finally:
            pool.end()


class _Pool:
    """The processes, and which run each is at."""

    def __init__(
        self,
        plan: Sequence[Planned],
        watched: Sequence[WatchedRun],
        console: "Console",
        ray: str | None,
    ) -> None:
        self._plan = plan
        self._watched = watched
        self._console = console
        self._ray = ray
        self._waiting = deque(range(len(plan)))
        self._workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
        self._at: dict[Connection, int] = {}
        self._failures: dict[str, str] = {}

    def run(self, jobs: int) -> dict[str, str]:
        """Let processes make the runs; give why some failed."""
        while self._waiting or self._at:
            while self._waiting and len(self._at) < jobs:
                self._give_work()
            for connection in wait(list(self._at)):
                assert isinstance(connection, Connection)  # noqa: S101 -- for the types
                self._hear(connection)
        return self._failures

    def end(self) -> None:
        """Interrupt what still runs, and wait until it has written what it reached."""
        for connection, process in self._workers.items():
            if connection in self._at:
                process.terminate()
            connection.close()
        for process in self._workers.values():
            process.join()

    def _give_work(self) -> None:
        idle = [
            connection
            for connection, process in self._workers.items()
            if connection not in self._at and process.is_alive()
        ]
        connection = idle[0] if idle else self._start()
        number = self._waiting.popleft()
        self._at[connection] = number
        connection.send(self._plan[number])

    def _start(self) -> Connection:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(theirs, self._ray))
        with _without_interrupts():
            process.start()
        theirs.close()
        self._workers[ours] = process
        return ours

    def _hear(self, connection: Connection) -> None:
        """Take what a process says of its run."""
        number = self._at[connection]
        try:
            said = connection.recv()
        except (EOFError, ConnectionError):
            process = self._workers.pop(connection)
            process.join()
            said = _Ended(f"Its process ended with code {process.exitcode}.")
        if isinstance(said, _Ended):
            del self._at[connection]
        try:
            self._show(number, said)
        except Exception as error:  # noqa: BLE001 -- who cannot show one run ends no other
            self._drop(connection)
            self._fail(number, _failure_of(error))

    def _show(self, number: int, said: _Begun | RoundRow | _Ended) -> None:
        """Pass on what a process has said to what watches its run."""
        match said:
            case _Begun():
                self._watched[number].start(said.done, said.rounds)
            case RoundRow():
                self._watched[number].round(said)
            case _Ended():
                if said.failure:
                    self._fail(number, said.failure)
                elif result := RunFolder(self._plan[number].folder).read_result():
                    self._watched[number].end(result)

    def _fail(self, number: int, failure: str) -> None:
        """Note and say why a run failed."""
        self._watched[number].fail()
        title = self._plan[number].title
        self._failures[title] = failure
        self._console.print(f"{title}  failed: {failure}")

    def _drop(self, connection: Connection) -> None:
        """End a process that is at a run, when it has written what that reached."""
        if connection in self._at:
            process = self._workers[connection]
            process.terminate()
            process.join()
            connection.close()
            del self._workers[connection], self._at[connection]


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that a terminal's Ctrl-C does not reach: they are told by SIGTERM."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Teller:
    """Tells the process that started this one how its run is going."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, done: int, rounds: int) -> None:
        self._connection.send(_Begun(done, rounds))

    def round(self, record: RoundRow) -> None:
        self._connection.send(record)


def _work(connection: Connection, ray: str | None) -> None:
    """Make one run after the other, as they come; runs share corpora and engines."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    corpora, teller = Corpora(progress_console(quiet=True)), _Teller(connection)
    try:
        with engines_at(ray) as engines:
            while True:
                planned = connection.recv()
                connection.send(_Ended(_attempt(planned, corpora, engines, teller)))
    except (EOFError, ConnectionError, Stopped, KeyboardInterrupt):
        return  # nobody waits for more


def _attempt(planned: Planned, corpora: Corpora, engines: Engines, teller: _Teller) -> str:
    """Make a run; say why it failed, or nothing."""
    try:
        finish(planned, corpora, engines, teller)
    except (Stopped, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 -- a fault in one run ends no other
        return _failure_of(error)
    return ""


def _failure_of(error: Exception) -> str:
    """Say why a run failed; of what nobody can put right, print where."""
    if isinstance(error, ChorusError):
        return error.message
    traceback.print_exception(error)
    return reason_of(error)


def failed(failures: dict[str, str], runs: int) -> RunError:
    """Make the error that names the runs of a study that failed."""
    names = ", ".join(failures)
    return RunError(
        f"{len(failures)} of {runs} runs failed: {names}.",
        "Why is said above; the same command makes them again, and no others.",
    )

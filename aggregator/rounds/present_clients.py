"""Who can train now: told by the service, asked by everybody else.

The ledger has a copy for other processes, written when the service finds the time; an upload whose
client goes is put aside. Neither is asked who can train.
"""

from shared.round_settings import MOST_CLIENTS


class PresentClients:
    """The clients that are online and allowed to train.

    Attributes
    ----------
    ready
        Their names.
    news
        Those of them that have enough new examples.
    """

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.news: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._learned: dict[str, int] = {}

    def come(self, client: str, *, news: bool = False) -> None:
        """Learn that a client is there and allowed to train; more than once is no harm.

        Parameters
        ----------
        client
            Its name.
        news
            Whether it has enough new examples for a round to open.
        """
        if len(self.ready) < MOST_CLIENTS:
            self.ready.add(client)
        if news and client in self.ready:
            self.news.add(client)
        else:
            self.news.discard(client)

    def fresh(self, client: str, number: int) -> int:
        """Count what is new with a client of before 1.2, which says how many examples it has.

        All of them, until an update of it was accepted here.
        """
        if client in self._numbers or len(self._numbers) < MOST_CLIENTS:
            self._numbers[client] = number
        return number - self._learned.get(client, 0)

    def learned(self, client: str) -> None:
        """Learn that an update holds what a client had; what is new after it, it says itself."""
        self.news.discard(client)
        if client in self._numbers:
            self._learned[client] = self._numbers[client]

    def leave(self, client: str) -> None:
        """Learn that a client is gone, or not allowed to train."""
        self.ready.discard(client)
        self.news.discard(client)

    def forget(self) -> None:
        """Learn that it is not known who is there: those who are will be told of again."""
        self.ready.clear()
        self.news.clear()

"""Who can train now: told by the service, asked by everybody else.

The ledger has a copy for other processes, written when the service finds the time; an upload whose
client goes is put aside. Neither is asked who can train.
"""

from shared.round_settings import MOST_CLIENTS


class Roster:
    """The clients that are online and allowed to train.

    Attributes
    ----------
    ready
        Their names.
    """

    def __init__(self) -> None:
        self.ready: set[str] = set()

    def come(self, client: str) -> None:
        """Learn that a client is there and allowed to train; more than once is no harm."""
        if len(self.ready) < MOST_CLIENTS:
            self.ready.add(client)

    def leave(self, client: str) -> None:
        """Learn that a client is gone, or not allowed to train."""
        self.ready.discard(client)

    def forget(self) -> None:
        """Learn that it is not known who is there: those who are will be told of again."""
        self.ready.clear()

"""The topics of a federation.

Each client has a branch of its own, so that a broker's access rules can keep devices apart: a
device writes ``presence``, ``requests`` and ``chunks`` of its own branch and reads its
``replies``; only the aggregator writes ``round``, ``models`` and ``replies``.
"""

import re
from dataclasses import dataclass
from typing import Final

ROOT: Final = "chorus"

NAME: Final = r"^[a-z0-9][a-z0-9-]{0,63}$"
"""What federations and clients may be called: safe in a topic, in a file's name and in a log."""


def is_name(text: str) -> bool:
    """Say whether a text may name a federation or a client."""
    return re.fullmatch(NAME, text) is not None and "\n" not in text


def aggregator_name(federation: str) -> str:
    """Name the aggregator of a federation; no device of it may be called the same."""
    return f"{federation}-aggregator"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one federation.

    Attributes
    ----------
    federation
        Its name.
    """

    federation: str

    def identifier(self, name: str) -> str:
        """Give the MQTT identifier of a client, or of the aggregator.

        Two federations on one broker may have devices of one name; no name has a ``_`` in it.
        """
        return f"{self.federation}_{name}"

    def guest(self, name: str) -> str:
        """Name the user at the broker who may ask to join as a client, and nothing else."""
        return f"{self.identifier(name)}_guest"

    @property
    def round(self) -> str:
        """Where the aggregator keeps the announcement of the current round, retained."""
        return f"{ROOT}/{self.federation}/round"

    def model(self, digest: str) -> str:
        """Name where the chunks of a model's file are published, for all who want them."""
        return f"{ROOT}/{self.federation}/models/{digest}"

    @property
    def probe(self) -> str:
        """Where the aggregator sends itself something, to see what the broker passes on."""
        return self.model("probe")

    def of_client(self, client: str, kind: str) -> str:
        """Name a topic of a client's branch."""
        return f"{ROOT}/{self.federation}/clients/{client}/{kind}"

    def presence(self, client: str) -> str:
        """Name where a client says that it is there, retained; its will says that it is not."""
        return self.of_client(client, "presence")

    def requests(self, client: str) -> str:
        """Name where a client offers updates and asks for files."""
        return self.of_client(client, "requests")

    def chunks(self, client: str) -> str:
        """Name where a client sends the chunks of its update."""
        return self.of_client(client, "chunks")

    def replies(self, client: str) -> str:
        """Name where the aggregator answers a client."""
        return self.of_client(client, "replies")

    def join(self, client: str) -> str:
        """Name where an invited device asks to join."""
        return self.of_client(client, "join")

    def joined(self, client: str) -> str:
        """Name where the aggregator answers it."""
        return self.of_client(client, "joined")

    def client_of(self, topic: str) -> tuple[str, str] | None:
        """Take apart a topic of a client's branch.

        Returns
        -------
        (str, str) or None
            The client and the last part; ``None`` if it is no such topic, or the name is wrong.
        """
        match topic.split("/"):
            case [root, federation, "clients", client, kind]:
                if (root, federation) == (ROOT, self.federation) and is_name(client):
                    return client, kind
        return None

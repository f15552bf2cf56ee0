"""What is written down: all that happened in a federation, and its models' files.

:class:`Ledger` writes it, one process at a time; :class:`History` reads it, also beside the writer.
Nothing here decides what becomes of a round or an update.
"""

from aggregator.ledger.history import History
from aggregator.ledger.ledger import Ledger
from aggregator.ledger.records import (
    CheckedUpdate,
    ClientRecord,
    Counts,
    Model,
    Origin,
    Refusal,
    RoundRecord,
    UpdateRecord,
    Version,
)

__all__ = [
    "CheckedUpdate",
    "ClientRecord",
    "Counts",
    "History",
    "Ledger",
    "Model",
    "Origin",
    "Refusal",
    "RoundRecord",
    "UpdateRecord",
    "Version",
]

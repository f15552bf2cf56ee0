"""What runs on a device: hearing, recognition, training, taking part in rounds.

:mod:`edge_client.run` puts the parts together. It imports :mod:`shared` alone;
:mod:`edge_client.simulation` may import more, and only commands import that.

From Python: :class:`Recogniser` and :func:`take_part`; what a workstation has besides is in
:mod:`edge_client.simulation`. ``docs/python.md`` shows them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from edge_client.federation.joining import GlobalModel, Participation, take_part
    from edge_client.recogniser import Recognised, Recogniser

__all__ = ["GlobalModel", "Participation", "Recognised", "Recogniser", "take_part"]

_WHERE: Final = {
    "GlobalModel": "edge_client.federation.joining",
    "Participation": "edge_client.federation.joining",
    "Recognised": "edge_client.recogniser",
    "Recogniser": "edge_client.recogniser",
    "take_part": "edge_client.federation.joining",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: commands import this package for ``--help``."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)

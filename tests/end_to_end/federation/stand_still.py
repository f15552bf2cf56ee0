"""A command that stands still at one place, to be killed there: ``COMMAND WHEN PLACE [WORDS...]``.

Most states of a round last some milliseconds: from outside, no process can be hit there for sure.
This is the command as it is, in a process of its own, but for one function or method, PLACE.
Whoever calls it stands still, for ever, WHEN that is: ``before`` its work, or ``after`` it.
"""

import functools
import pkgutil
import sys
import threading
from typing import Any

MAIN = {"aggregator": "aggregator.cli:main", "edge-client": "edge_client.cli:main"}


def stand_still(when: str, place: str) -> None:
    """Let whoever calls ``module:Class.method``, or ``module:function``, stand still."""
    module, _, path = place.partition(":")
    owner, _, name = path.rpartition(".")
    within = pkgutil.resolve_name(f"{module}:{owner}" if owner else module)
    work = getattr(within, name)

    @functools.wraps(work)
    def wrapped(*given: Any, **named: Any) -> None:
        if when == "after":
            work(*given, **named)
        print(f"It stands still {when} {place}.", file=sys.stderr, flush=True)  # noqa: T201 -- the log
        threading.Event().wait()

    setattr(within, name, wrapped)
    if work.__module__ == module and not owner:
        # Modules that have been imported already, and call it by a name of their own.
        for other in list(sys.modules.values()):
            if vars(other).get(name) is work:
                setattr(other, name, wrapped)


if __name__ == "__main__":
    command, *where = sys.argv[1:4]
    sys.argv[:4] = [command]
    main = pkgutil.resolve_name(MAIN[command])
    stand_still(*where)
    main()

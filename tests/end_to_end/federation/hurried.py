"""A command that waits less: ``hurried.py COMMAND MODULE:NAME=SECONDS,... [WORDS...]``.

This is the command as it is, in a process of its own, but for some constants of its modules: what
it would do after half a minute, it does after some seconds.
"""

import pkgutil
import sys
from importlib import import_module


def hurry(place: str) -> None:
    """Let a module's constant, ``module:NAME=SECONDS``, be so many seconds."""
    where, _, seconds = place.partition("=")
    module, _, name = where.partition(":")
    within = import_module(module)
    assert isinstance(getattr(within, name), float), where
    setattr(within, name, float(seconds))


if __name__ == "__main__":
    command, places, *words = sys.argv[1:]
    sys.argv = [command, *words]
    main = pkgutil.resolve_name(f"{command.replace('-', '_')}.cli:main")
    for one in places.split(","):
        hurry(one)
    main()

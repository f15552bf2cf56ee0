"""Things that options name: our own, those of installed packages, and those of one's own module.

A name is looked for among our own, then among the entry points that installed packages offer
(``chorus.strategies`` and so on in their ``pyproject.toml``); ``package.module:Name`` is imported.
A program adds its own by :meth:`Registry.add`.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from shared.errors import SettingsError, reason_of, shown

T = TypeVar("T")


class Registry(Generic[T]):
    """What an option can name.

    Parameters
    ----------
    kind
        What each of them is, in the singular: ``strategy``.
    own
        Ours, by name.
    check
        Turns what a package or module offers into such a thing; raises :class:`TypeError` with a
        clause (``it is a function``) where it is none.
    group
        The entry points' group; ``chorus.`` and the kind in the plural if not given.
    """

    def __init__(
        self, kind: str, own: Mapping[str, T], check: Callable[[Any], T], *, group: str = ""
    ) -> None:
        self.kind = kind
        self.group = group or f"chorus.{kind.replace(' ', '_')}s"
        self._own = dict(own)
        self._check = check
        self._loaded: dict[str, T] = {}
        self._replaceable: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        """Give the names, our own first; those of packages are not imported for it."""
        return iter(dict.fromkeys([*self._own, *(point.name for point in self._points())]))

    def __contains__(self, name: object) -> bool:
        """Say whether there is one of this name, or it names a module's."""
        # What packages offer is read from the disk each time: our own come first.
        return isinstance(name, str) and (":" in name or name in self._own or name in iter(self))

    def has(self, name: str) -> bool:
        """Say whether it is ours, an installed package's, or a module's that was asked for before.

        For names from files and messages: they have no module imported.
        """
        known = name in self._own or name in self._loaded
        return known or (":" not in name and name in iter(self))

    def missing(self, name: str) -> SettingsError:
        """Make the error that there is none of this name."""
        return SettingsError(
            f"There is no {self.kind} {shown(name)}; there are: {', '.join(self)}.",
            f"One of your own is named package.module:Name, or by an entry point of {self.group}.",
        )

    def add(self, name: str, thing: T) -> None:
        """Add one under a name of its own.

        Raises
        ------
        SettingsError
            If the name is taken, or has a colon.
        TypeError
            If it is no such thing.
        """
        if name in iter(self) or ":" in name:
            raise SettingsError(f"There is a {self.kind} {shown(name)} already, or it has a colon.")
        self._own[name] = self._check(thing)

    def put(self, name: str, thing: T) -> None:
        """Add one; or replace one that was put there: notebooks define things again and again.

        Raises
        ------
        SettingsError
            If the name is that of another, which is ours, a package's, or was added by :meth:`add`;
            or if it has a colon.
        TypeError
            If it is no such thing; what was there then stays.
        """
        if self._own.get(name) is thing:
            return
        checked = self._check(thing)
        if name in self._replaceable:
            del self._own[name]
        self.add(name, checked)
        self._replaceable.add(name)

    def get(self, name: str) -> T:
        """Find one.

        Parameters
        ----------
        name
            Its name, or ``package.module:Name``.

        Raises
        ------
        SettingsError
            If there is none, or it cannot be imported, or is something else.
        """
        if name in self._own:
            return self._own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> T:
        if ":" in name:
            point = EntryPoint(name, name, self.group)
        else:
            found = [point for point in self._points() if point.name == name]
            if not found:
                raise self.missing(name)
            point = found[0]
        what = f"The {self.kind} {shown(name)}"
        try:
            thing = _imported(point)
        except Exception as error:
            raise SettingsError(
                f"{what} cannot be imported: {reason_of(error)}.",
                "Look at the module's name, and whether it is installed in this environment.",
            ) from error
        try:
            return self._check(thing)
        except TypeError as error:
            raise SettingsError(f"{what} is not a valid {self.kind}: {error}.") from error

    def _points(self) -> list[EntryPoint]:
        return sorted(entry_points(group=self.group), key=lambda point: point.name)


def _imported(point: EntryPoint) -> Any:
    """Import what an entry point stands for; a module may lie in the folder one is in."""
    if "" not in sys.path:
        sys.path.append("")
        importlib.invalidate_caches()
    return point.load()

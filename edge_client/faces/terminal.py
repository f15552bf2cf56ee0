"""The terminal's view of a device: level, state, the last utterances, and keys to label them."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from edge_client.device.device import Device, DeviceEvent
from edge_client.device.stored_utterance import StoredUtterance
from edge_client.faces.keys import Keys
from edge_client.hearing.segmentation import SILENCE
from shared.errors import ChorusError, shown

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

ROWS: Final = 8
"""Utterances shown."""

REFRESH: Final = 0.1
"""Seconds between two pictures of the level."""

SETTLING: Final = 0.4
"""Seconds for which a new utterance takes no answer: it was meant for the one before."""

_TAKEN: Final = "dupq"
"""Keys that are no label's."""

_NARROW: Final = 100
"""Columns of a terminal below which everything is drawn half as wide."""

_BAR: Final = 8
_BESIDES: Final = len("▶ 12:34:56 12.3 s ")
"""Columns of a row besides the labels and the answer."""

_LIKELIEST: Final = 3
"""Labels that a row names, the most probable first, where there is no room for all."""

_METER: Final = 30
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_COLOURS: Final = {
    "idle": "dim",
    "listening": "green",
    "speaking": "bold green",
    "waiting": "yellow",
    "paused": "yellow",
}


class TerminalView:
    """Shows a device, and lets its person label what it heard.

    Parameters
    ----------
    device
        The device.
    console
        Where to show it.
    clock
        Seconds that only go forward.
    words
        Whether to show what was said in the chosen utterance.
    """

    def __init__(
        self,
        device: Device,
        console: "Console",
        clock: Callable[[], float] = time.monotonic,
        *,
        words: bool = False,
    ) -> None:
        self._device = device
        self._console = console
        self._clock = clock
        self._words = words
        self._labels = device.task.keys(_TAKEN)
        self._settled = clock()
        self._chosen: int | None = None  # None: always the newest
        self._said = ""
        self._stale = True
        self._rows: list[StoredUtterance] = []
        self._status: dict[str, Any] = {}

    def show(self, keys: Keys, go_on: Callable[[], object]) -> None:
        """Show the device until its person presses ``q``.

        Parameters
        ----------
        keys
            Where keys come from.
        go_on
            Called before each picture; what it raises ends the view.
        """
        from rich.live import Live

        unsubscribe = self._device.subscribe(self._on_device)
        try:
            with Live(self.picture(), console=self._console, auto_refresh=False) as live:
                while (key := keys.get(REFRESH)) != "q":
                    go_on()
                    if key is not None:
                        self.press(key)
                    live.update(self.picture(), refresh=True)
        finally:
            unsubscribe()

    def press(self, key: str) -> None:
        """Do what a key stands for; an error is shown, and ends nothing."""
        self._stale = True
        try:
            self._said = self._do(key)
        except ChorusError as error:
            self._said = error.message

    def picture(self) -> "Group":
        """Draw the device as it is now."""
        from rich.console import Group
        from rich.text import Text

        if self._stale:
            self._look()
        problem = Text(self._status["problem"] or "", "yellow")
        return Group(
            self._head(),
            self._table(),
            *self._spoken(),
            problem,
            Text(self._said),
            Text(self._help(), "dim"),
        )

    def _spoken(self) -> "list[Text]":
        """Give the words of the utterance that keys act on, where its person asked for them."""
        from rich.text import Text

        row = self._row()
        words = self._device.words(row.identifier) if self._words and row else None
        return [Text(f"“{shown(words)}”")] if words else []

    def _look(self) -> None:
        self._stale = False
        before = {row.identifier for row in self._rows}
        self._rows = self._device.recent(ROWS)
        self._status = self._device.status()
        row = self._row()
        if before and row and row.identifier not in before:
            self._settled = self._clock() + SETTLING

    def _do(self, key: str) -> str:
        device = self._device
        if key in ("up", "down"):
            self._choose(-1 if key == "up" else 1)
        elif key == "p":
            (device.resume if device.paused else device.pause)()
        elif key == "u":
            return _said_of(device.undo()) or "There is nothing to undo."
        elif key in (*self._labels, "enter", " ", "d") and (row := self._row()):
            if self._clock() < self._settled:
                return "Something new was heard just then: press once more."
            return _said_of(self._answer(key, row))
        return ""

    def _answer(self, key: str, row: StoredUtterance) -> StoredUtterance:
        if key == "d":
            self._chosen = None
            return self._device.discard(row.identifier)
        # What is shown is what is meant: what was recognised may change meanwhile, by the words.
        label = self._labels.get(key, row.predicted)
        if label is None:
            raise ChorusError(
                f"Utterance {row.identifier} was heard before there was a model.",
                "Say which label it should have.",
            )
        return self._device.correct(row.identifier, label)

    def _width(self, columns: int) -> int:
        return columns if self._console.width >= _NARROW else columns // 2

    def _row(self) -> StoredUtterance | None:
        """Find the utterance that keys act on, as it is shown."""
        chosen = [row for row in self._rows if row.identifier == self._chosen]
        return chosen[0] if chosen else self._rows[0] if self._rows else None

    def _choose(self, by: int) -> None:
        row = self._row()
        if row is not None:
            where = min(max(self._rows.index(row) + by, 0), len(self._rows) - 1)
            self._chosen = self._rows[where].identifier if where else None

    def _on_device(self, event: DeviceEvent) -> None:
        del event
        self._stale = True

    def _head(self) -> "Text":
        from rich.text import Text

        status, text = self._status, Text()
        state = status["state"]
        if state == "listening" and self._device.speaking:
            state = "speaking"
        text.append(f"● {state:10}", _COLOURS[state])
        text.append(bar((self._device.level - SILENCE) / -SILENCE, self._width(_METER)), "green")
        text.append(f" {self._device.level:4.0f} dB   ")
        model = status["model"]
        text.append(f"{model['architecture']} {model['digest'][:8]}" if model else "no model yet")
        if card := status["card"]:
            teachers = ", ".join(each["title"] for each in card["taught_by"])
            text.append(f", taught by {teachers}", "dim")
        text.append("\n")
        text.append("   ".join(f"{name} {count}" for name, count in status["counts"].items()))
        if source := status["source"]:
            text.append(f"\n{source['detail']}", "dim")
            if source["overruns"]:
                text.append(f" Sound was lost {source['overruns']} times.", "yellow")
        if facts := status["round"]:
            text.append(f"\n{_part(facts)}", "dim")
        if facts := status["training"]:
            text.append(f"\nadapted to {facts['examples']} of your answers", "dim")
        if model:
            text.append(_meaning(model["unsure"]), "dim")
        if facts := status["first_minute"]:
            text.append("".join(f"\n{said}" for said in first_minute(facts)), "cyan")
        return text

    def _table(self) -> "Table":
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        names = self._columns()
        for name in ("", "heard", "", *(names or ["recognised"]), "you said"):
            table.add_column(name)
        chosen = self._row()
        for row in self._rows:
            shares = [row.shares.get(name, 0.0) for name in names]
            bars = [f"{bar(share, self._width(_BAR))}{share:4.0%}" for share in shares]
            table.add_row(
                "▶" if row is chosen else " ",
                f"{row.heard_at.astimezone():%H:%M:%S}",
                f"{row.seconds:4.1f} s",
                *(bars or [_likeliest(row)]),
                row.label or _remark(row),
                style="bold" if row is chosen else "",
            )
        return table

    def _columns(self) -> tuple[str, ...]:
        """Give the labels, if there is a column's room for each; none else."""
        names = self._device.task.names
        bar_and_share = self._width(_BAR) + len("100%")
        needed = sum(max(len(name), bar_and_share) + 1 for name in names)
        return names if _BESIDES + max(map(len, names)) + needed <= self._console.width else ()

    def _help(self) -> str:
        labels = "   ".join(f"{key}: {name}" for key, name in self._labels.items())
        return f"Enter: right   {labels}   d: discard   u: undo   ↑ ↓: choose   p: pause   q: end"


def _part(facts: dict[str, Any]) -> str:
    """Say how the device's part in its federation is; one that was left has its state alone."""
    number = facts.get("number")
    words = [f"round {number}" if number else "federation", facts["state"]]
    if "accepted" in facts:
        words.append(f"updates accepted: {facts['accepted']}")
    if lacks := facts.get("lacks"):
        words.append(f"more of your answers needed: {lacks}")
    return ", ".join(words)


def first_minute(facts: dict[str, Any]) -> list[str]:
    """Say how far a device has got to know its person, a sentence a line.

    Parameters
    ----------
    facts
        The ``first_minute`` of :meth:`Device.status`.
    """
    heard, left = facts["heard"], facts["wanted"] - facts["heard"]
    if not heard:
        lines = [f"Say {left} things, whatever you like: I get to know your voice and this room."]
    elif left > 0:
        lines = [f"Heard {heard} of {facts['wanted']}: go on, I get to know your voice."]
    else:
        lines = ["Now I go by your own voice and this room."]
    for each in facts["changed"]:
        when = datetime.fromisoformat(each["heard_at"]).astimezone()
        now, before = each["now"], each["before"]
        lines.append(f"By what I know now, {when:%H:%M:%S} was {now}, not {before}.")
    if facts["unknown"]:
        *others, last = facts["unknown"]
        moods = f"{', '.join(others)} or {last}" if others else last
        lines.append(f"I do not know yet how you sound {moods}: tell me when I am wrong.")
    return lines


def _likeliest(heard: StoredUtterance) -> str:
    shares = sorted(heard.shares.items(), key=lambda share: -share[1])[:_LIKELIEST]
    return "  ".join(f"{name} {share:.0%}" for name, share in shares)


def bar(share: float, width: int) -> str:
    """Draw a share of 1 as a bar of so many characters, in eighths."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return (_BLOCKS[8] * (eighths // 8) + _BLOCKS[eighths % 8].strip()).ljust(width)


def line(heard: StoredUtterance, words: str | None = None) -> str:
    """Say an utterance in one line, where there is no terminal to draw in; with its words, if any.

    Control characters in them come from whoever recognised them, and are not printed.
    """
    when = f"{heard.heard_at.astimezone():%H:%M:%S}  {heard.seconds:4.1f} s"
    if heard.probabilities is None:
        return f"{when}  no model yet"
    shares = "".join(f"  {name} {share:.0%}" for name, share in heard.shares.items())
    said = f"  “{shown(words)}”" if words else ""
    return f"{when}  {heard.predicted:8}{shares}{'  unsure' if heard.unsure else ''}{said}"


def _remark(heard: StoredUtterance) -> str:
    """Say what stands in the place of an answer until there is one."""
    return "not kept" if heard.identifier < 0 else "unsure" if heard.unsure else ""


def _meaning(unsure: dict[str, Any]) -> str:
    """Say what the device means by unsure, where its model tells."""
    if not unsure["answers"]:
        return ""
    return (
        f"\nunsure: below {unsure['below']:.0%}. Of {unsure['answers']} such answers to people it "
        f"had not heard, {unsure['wrong']} were wrong."
    )


def _said_of(changed: StoredUtterance | None) -> str:
    if changed is None:
        return ""
    what = "discarded" if changed.discarded else changed.label or "not labelled"
    return f"{changed.heard_at.astimezone():%H:%M:%S}: {what}"

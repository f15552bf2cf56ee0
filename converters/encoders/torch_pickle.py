"""Reads a pickle of PyTorch without Python's unpickler, which would do whatever it says.

A pickle is a program for a small machine: it puts values on a stack, makes tuples and dictionaries
of them, remembers some and calls what it names. Python's machine can be told to call anything, to
set gigabytes aside by a number, or to compare what is nested so deep that the process dies. This
one knows only the instructions that PyTorch writes, and calls only what rebuilds a tensor.
(``torch/_weights_only_unpickler.py`` of PyTorch 2 has the same instructions.)
"""

import math
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

_STORAGES: Final = {
    "HalfStorage": np.dtype("<f2"),
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
"""NumPy's types by the classes that PyTorch names; bfloat16 it does not have."""

_LARGEST_KEY: Final = 1 << 63
"""Numbers of names go up to here: among larger ones, many can be made to fall on one place."""

_MOST_AXES: Final = 8
"""Of a tensor; those of a Whisper have three."""


class PickleError(ValueError):
    """A pickle asks for something that no tensor needs; with a clause that says what."""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """A tensor that a pickle describes: its values lie in a part of the file."""

    part: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]

    def values(self, content: bytes) -> NDArray[Any]:
        """Find its values in its part."""
        place, count = self.offset * self.dtype.itemsize, math.prod(self.shape)
        return np.frombuffer(content, self.dtype, count, place).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class TorchPickle:
    """What a pickle holds.

    Attributes
    ----------
    content
        Dictionaries, lists and values; tensors are :class:`TensorPlace`.
    parts
        The types of the parts of the file that it names, by name.
    """

    content: Any
    parts: Mapping[str, np.dtype[Any]]


def read_pickle(file: BinaryIO) -> TorchPickle:
    """Read the pickle that begins here; the file is behind it then.

    Raises
    ------
    PickleError
        If it asks for something that no tensor needs.
    ValueError, LookupError, TypeError
        If it is cut short or damaged.
    """
    machine = _Machine()
    for instruction, value, _ in pickletools.genops(file):
        step = _STEPS.get(instruction.name)
        if step is None:
            raise PickleError(
                f"its pickle has the instruction {instruction.name}, which no tensor needs"
            )
        step(machine, value)
    (content,) = machine.stack
    return TorchPickle(content, machine.parts)


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.parts: dict[str, np.dtype[Any]] = {}
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def take(self, count: int) -> list[Any]:
        """Take so many values from the stack."""
        found = [self.stack.pop() for _ in range(count)]
        return found[::-1]

    def marked(self) -> list[Any]:
        """Take all values above the last mark from the stack."""
        return self.take(len(self.stack) - self._marks.pop())

    def mark(self, _: Any) -> None:
        self._marks.append(len(self.stack))

    def remember(self, place: int) -> None:
        self._memo[place] = self.stack[-1]

    def recall(self, place: int) -> None:
        self.push(self._memo[place])

    def append(self, items: list[Any]) -> None:
        self._last(list).extend(items)

    def set(self, items: list[Any]) -> None:
        there = self._last(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nothing that holds something else: what is nested is compared level by level.
            if not (isinstance(key, str) or (isinstance(key, int) and abs(key) < _LARGEST_KEY)):
                raise PickleError("its pickle names something by neither text nor number")
            there[key] = value

    def build(self, _: Any) -> None:
        """Leave what is known of a dictionary besides, such as its version."""
        self.take(1)
        self._last(OrderedDict)

    def _last(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise PickleError(f"its pickle takes something for a {kind.__name__} that is none")
        return self.stack[-1]

    def name(self, name: str) -> None:
        """Push what stands for a class or a function that the pickle names."""
        if (dtype := _STORAGES.get(name.removeprefix("torch "))) is not None:
            return self.push(dtype)
        dotted = name.replace(" ", ".", 1)
        if (call := _CALLS.get(dotted)) is None:
            raise PickleError(f"its pickle asks for {dotted}, which no tensor needs")
        return self.push(call)

    def call(self, _: Any) -> None:
        call, arguments = self.take(2)
        if not (callable(call) and isinstance(arguments, tuple)):
            raise PickleError("its pickle calls what cannot be called")
        self.push(call(*arguments))

    def part(self, _: Any) -> None:
        """Push the name of a part of the file, and the type of its values."""
        match self.stack.pop():
            # The last of six names a part of a part: nobody writes those any more.
            case ("storage", np.dtype() as dtype, str(part), _, _, *rest) if rest in ([], [None]):
                self.parts[part] = dtype
                return self.push((part, dtype))
        raise PickleError("its pickle names a part that is none")


def _dictionary() -> OrderedDict[Any, Any]:
    """Stand for ``collections.OrderedDict``, which is filled afterwards."""
    return OrderedDict()


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> TensorPlace:
    """Stand for ``torch._utils._rebuild_tensor_v2``."""
    match storage:
        case (str(part), np.dtype() as dtype):
            pass
        case _:
            raise PickleError("a tensor of it lies nowhere")
    if not (_counts(shape) and _counts(stride) and _counts((offset,))):
        raise PickleError("a tensor of it has a shape that cannot be")
    dense = [math.prod(shape[n + 1 :]) for n in range(len(shape))]
    if any(
        size > 1 and step != want for size, step, want in zip(shape, stride, dense, strict=True)
    ):
        raise PickleError("a tensor of it is transposed")
    return TensorPlace(part, dtype, offset, shape)


def _counts(values: Any) -> bool:
    """Say whether these are as few whole numbers as a tensor has axes, none below zero."""
    return (
        isinstance(values, tuple)
        and len(values) <= _MOST_AXES
        and all(isinstance(value, int) and 0 <= value < _LARGEST_KEY for value in values)
    )


def _parameter(tensor: Any, *_: Any) -> Any:
    """Stand for ``torch._utils._rebuild_parameter``."""
    return tensor


_CALLS: Final[Mapping[str, Callable[..., Any]]] = {
    "collections.OrderedDict": _dictionary,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}

_VALUES: Final = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE")
"""Instructions that push what stands behind them."""

_STEPS: Final[Mapping[str, Callable[[_Machine, Any], None]]] = {
    **dict.fromkeys(_VALUES, _Machine.push),
    "PROTO": lambda _, __: None,
    "STOP": lambda _, __: None,
    "NONE": lambda own, _: own.push(None),
    "NEWTRUE": lambda own, _: own.push(True),
    "NEWFALSE": lambda own, _: own.push(False),
    "EMPTY_TUPLE": lambda own, _: own.push(()),
    "EMPTY_LIST": lambda own, _: own.push([]),
    "EMPTY_DICT": lambda own, _: own.push({}),
    "MARK": _Machine.mark,
    "TUPLE": lambda own, _: own.push(tuple(own.marked())),
    "TUPLE1": lambda own, _: own.push(tuple(own.take(1))),
    "TUPLE2": lambda own, _: own.push(tuple(own.take(2))),
    "TUPLE3": lambda own, _: own.push(tuple(own.take(3))),
    "APPEND": lambda own, _: own.append(own.take(1)),
    "APPENDS": lambda own, _: own.append(own.marked()),
    "SETITEM": lambda own, _: own.set(own.take(2)),
    "SETITEMS": lambda own, _: own.set(own.marked()),
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.name,
    "BINPERSID": _Machine.part,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}
"""What each instruction does, by its name in :mod:`pickletools`."""

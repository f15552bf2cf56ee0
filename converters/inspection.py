"""Reads what a TFLite file holds, without TensorFlow and without trusting it.

A ``.tflite`` file is a flatbuffer: tables that point to each other by offsets. Every read is
checked against the end of the file, and nothing is followed more than five tables deep. As any
number of offsets may point to the same long list, reads are counted too: no more than the file has
bytes, where a file that was honestly written takes a sixth of that. So a damaged or hostile file
costs an error and time in proportion to its size.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.errors import WeightsError
from shared.graphs.op_names import BUILTIN_OPS, CUSTOM, TYPES

_MAGIC: Final = b"TFL3"
"""Stands behind the first four bytes."""

_LIMIT: Final = 1 << 31
"""A flatbuffer's offsets reach no further."""

_PLACEHOLDER: Final = 127
"""Codes from here on stand in a field of their own."""

_NAME_LIMIT: Final = 1000
"""Longest name that is believed, in bytes."""


@dataclass(frozen=True, slots=True)
class OpKind:
    """Ops of one kind in a file."""

    name: str
    version: int
    count: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a TFLite file holds.

    Attributes
    ----------
    signatures
        By name: ``inputs`` and ``outputs``, each by name with ``shape`` and ``dtype``.
    ops
        Sorted by name and version, over all subgraphs.
    custom_ops
        Names of ops that are not built in (Flex ops begin with ``Flex``).
    bytes
        Size of the file.
    """

    signatures: dict[str, dict[str, dict[str, dict[str, Any]]]]
    ops: list[OpKind]
    custom_ops: list[str]
    bytes: int


def inspect_file(path: Path) -> Inspection:
    """Read what a file holds; see :func:`inspect_bytes`.

    Raises
    ------
    WeightsError
        If it cannot be read, or is not a whole TFLite file.
    """
    if path.exists() and not path.is_file():
        raise WeightsError(f"Cannot read {path}: it is not a file.", "Name a model or its weights.")
    try:
        with path.open("rb") as file:
            data = file.read(8)
            if data[4:] == _MAGIC:
                file.seek(0)
                data = file.read(_LIMIT)
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror or error}.") from error
    try:
        return inspect_bytes(data)
    except WeightsError as error:
        raise WeightsError(f"{path} {error.problem}", error.remedy) from error


def inspect_bytes(data: bytes) -> Inspection:
    """Read what a TFLite file holds.

    Raises
    ------
    WeightsError
        If it is not a TFLite file, or damaged. Its sentence lacks the subject.
    """
    if data[4:8] != _MAGIC:
        raise WeightsError("is not a TFLite file.")
    try:
        return _inspect(data)
    except (_DamagedError, struct.error, UnicodeDecodeError, MemoryError) as error:
        raise WeightsError(f"is a damaged TFLite file ({error}).") from error


class _DamagedError(Exception):
    """The file contradicts itself."""


@dataclass(slots=True)
class _Content:
    """What a file holds, and how much of it may still be read."""

    data: bytes
    left: int

    def __len__(self) -> int:
        return len(self.data)

    def spend(self, count: int) -> None:
        """Count what is about to be read, in numbers or characters."""
        self.left -= count
        if self.left < 0:
            raise _DamagedError("the same parts are pointed to again and again")


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a flatbuffer: fields by their number in the schema."""

    content: _Content
    at: int

    def read(self, form: str, at: int) -> int:
        """Read one number, anywhere in the file."""
        self.content.spend(1)
        if not 0 <= at <= len(self.content) - struct.calcsize(form):
            raise _DamagedError("an offset leads out of the file")
        value: int = struct.unpack_from(form, self.content.data, at)[0]
        return value

    def field(self, number: int) -> int | None:
        """Find where a field is stored; ``None`` where it has its default."""
        layout = self.at - self.read("<i", self.at)
        if 4 + 2 * number + 2 > self.read("<H", layout):
            return None
        offset = self.read("<H", layout + 4 + 2 * number)
        return self.at + offset if offset else None

    def number(self, number: int, form: str, default: int = 0) -> int:
        """Read a field that is a number."""
        at = self.field(number)
        return default if at is None else self.read(form, at)

    def vector(self, number: int, size: int) -> tuple[int, int]:
        """Find a field that is a vector: where its elements of ``size`` bytes begin, and how many.

        An absent one is empty.
        """
        field = self.field(number)
        if field is None:
            return 0, 0
        at = field + self.read("<I", field)
        count = self.read("<I", at)
        if at + 4 + count * size > len(self.content):
            raise _DamagedError("a list is longer than the file")
        return at + 4, count

    def numbers(self, number: int) -> list[int]:
        """Read a field that is a vector of 32-bit numbers."""
        at, count = self.vector(number, 4)
        self.content.spend(count)
        return list(struct.unpack_from(f"<{count}i", self.content.data, at)) if count else []

    def text(self, number: int) -> str:
        """Read a field that is a name."""
        at, count = self.vector(number, 1)
        if count > _NAME_LIMIT:
            raise _DamagedError("a name is too long")
        self.content.spend(count)
        return self.content.data[at : at + count].decode()

    def tables(self, number: int) -> Iterator["_Table"]:
        """Read a field that is a vector of tables."""
        at, count = self.vector(number, 4)
        for place in range(at, at + 4 * count, 4):
            yield _Table(self.content, place + self.read("<I", place))

    def table(self, number: int, index: int) -> "_Table":
        """Read one element of a field that is a vector of tables."""
        at, count = self.vector(number, 4)
        if not 0 <= index < count:
            raise _DamagedError("an index leads out of its list")
        place = at + 4 * index
        return _Table(self.content, place + self.read("<I", place))


def _inspect(data: bytes) -> Inspection:
    content = _Content(data, len(data))
    model = _Table(content, _Table(content, 0).read("<I", 0))
    codes = [_op_code(code) for code in model.tables(1)]
    counts: Counter[int] = Counter()
    for subgraph in model.tables(2):
        counts.update(operator.number(0, "<I") for operator in subgraph.tables(3))
    if any(index >= len(codes) for index in counts):
        raise _DamagedError("an op has no code")
    ops: Counter[tuple[str, int]] = Counter()
    for index, count in counts.items():
        name, version, _ = codes[index]
        ops[name, version] += count
    return Inspection(
        {signature.text(2): _signature(model, signature) for signature in model.tables(7)},
        [OpKind(name, version, count) for (name, version), count in sorted(ops.items())],
        sorted({name for name, _, custom in codes if custom}),
        len(data),
    )


def _op_code(table: _Table) -> tuple[str, int, bool]:
    """Read an op code: its name, its version, whether it is a custom one."""
    code = table.number(0, "<b")
    if code < 0 or code >= _PLACEHOLDER or not code:
        code = table.number(3, "<i", code)
    version = table.number(2, "<i", 1)
    if code == CUSTOM:
        return table.text(1) or "CUSTOM", version, True
    if not 0 <= code < len(BUILTIN_OPS):
        return f"UNKNOWN_{code}", version, True
    return BUILTIN_OPS[code], version, False


def _signature(model: _Table, signature: _Table) -> dict[str, dict[str, dict[str, Any]]]:
    subgraph = model.table(2, signature.number(4, "<I"))
    return {
        side: {
            entry.text(0): _tensor(subgraph.table(0, entry.number(1, "<I")))
            for entry in signature.tables(number)
        }
        for number, side in enumerate(("inputs", "outputs"))
    }


def _tensor(table: _Table) -> dict[str, Any]:
    code = table.number(1, "<b")
    dtype = TYPES[code] if 0 <= code < len(TYPES) else f"unknown {code}"
    return {"shape": table.numbers(7) or table.numbers(0), "dtype": dtype}

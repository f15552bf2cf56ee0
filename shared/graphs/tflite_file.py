"""Writes graphs as a TFLite file: the few tables of its schema that our graphs need.

The file is a flatbuffer (``schema.fbs`` of TensorFlow 2.21). A field is known by its place in its
table, an op and the kind of its options by a number; the numbers stand here, so that a device can
write such a file without TensorFlow.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from flatbuffers import Builder

from shared.graphs.graph import Graph, Op, StoredTensor, Tensor
from shared.graphs.op_names import BUILTIN_OPS, TYPES

DESCRIPTION: Final = "Chorus"
"""What the files say of themselves."""

_VERSION: Final = 3
"""Of the schema."""

_PLACEHOLDER: Final = 127
"""Older readers know only codes below it, and find the others in a field of their own."""

_OPTIONS: Final[dict[str, tuple[int, dict[str, tuple[int, str]]]]] = {
    "Conv2DOptions": (
        1,
        {
            "padding": (0, "Int8"),
            "strideW": (1, "Int32"),
            "strideH": (2, "Int32"),
            "fusedActivationFunction": (3, "Int8"),
            "dilationW": (4, "Int32"),
            "dilationH": (5, "Int32"),
        },
    ),
    "FullyConnectedOptions": (8, {"fusedActivationFunction": (0, "Int8")}),
    "SoftmaxOptions": (9, {"beta": (0, "Float32")}),
    "ConcatenationOptions": (10, {"axis": (0, "Int32")}),
    "AddOptions": (11, {"fusedActivationFunction": (0, "Int8")}),
    "MulOptions": (21, {"fusedActivationFunction": (0, "Int8")}),
    "ReducerOptions": (27, {"keepDims": (0, "Bool")}),
    "SubOptions": (28, {}),
    "DivOptions": (29, {}),
    "StridedSliceOptions": (32, {"beginMask": (0, "Int32"), "endMask": (1, "Int32")}),
    "LogSoftmaxOptions": (36, {}),
    "GeluOptions": (124, {}),
    "BatchMatMulOptions": (101, {"adjX": (0, "Bool"), "adjY": (1, "Bool")}),
}
"""The number of each kind of options, and its fields: their places and types."""

_Field = tuple[int, str, Any]
"""Of a table: its place, its type and its value."""


def serialise(graphs: Sequence[Graph]) -> bytes:
    """Write graphs as one TFLite file, each as a subgraph with a signature of its name."""
    return _File().write(graphs)


class _File:
    """A file under construction: what its graphs share."""

    def __init__(self) -> None:
        self._builder: Any = Builder(1 << 16)
        self._codes: dict[tuple[str, int], int] = {}
        # The first buffer is empty: that of all tensors that are no constants.
        self._buffers: dict[bytes, int] = {b"": 0}

    def write(self, graphs: Sequence[Graph]) -> bytes:
        builder = self._builder
        for op in (op for graph in graphs for op in graph.ops):
            self._codes.setdefault((op.code, op.version), len(self._codes))
        fields = [
            (0, "Uint32", _VERSION),
            (1, "Offset", self._offsets([self._code(*code) for code in self._codes])),
            (2, "Offset", self._offsets([self._subgraph(graph) for graph in graphs])),
            (3, "Offset", builder.CreateString(DESCRIPTION)),
            (4, "Offset", self._offsets([self._buffer(data) for data in self._buffers])),
            (7, "Offset", self._offsets([self._signature(*item) for item in enumerate(graphs)])),
        ]
        builder.Finish(self._table(fields), b"TFL3")
        return bytes(builder.Output())

    def _subgraph(self, graph: Graph) -> int:
        fields = [
            (0, "Offset", self._offsets([self._tensor(item) for item in graph.stored])),
            (1, "Offset", self._numbers(tensor.index for tensor in graph.inputs.values())),
            (2, "Offset", self._numbers(tensor.index for tensor in graph.outputs.values())),
            (3, "Offset", self._offsets([self._operator(op) for op in graph.ops])),
            (4, "Offset", self._builder.CreateString(graph.name)),
        ]
        return self._table(fields)

    def _tensor(self, item: StoredTensor) -> int:
        shape, scale = self._numbers(item.tensor.shape), item.tensor.scale
        fields = [
            (0, "Offset", shape),
            (1, "Int8", TYPES.index(item.tensor.dtype.name)),
            (2, "Uint32", self._buffers.setdefault(item.data or b"", len(self._buffers))),
        ]
        if item.name:
            fields.append((3, "Offset", self._builder.CreateString(item.name)))
        if scale is not None:
            units = np.atleast_1d(np.array(scale, np.float32))
            scales = self._builder.CreateNumpyVector(units)
            zeros = self._builder.CreateNumpyVector(np.zeros(len(units), np.int64))
            fields.append((4, "Offset", self._table([(2, "Offset", scales), (3, "Offset", zeros)])))
        return self._table(fields)

    def _operator(self, op: Op) -> int:
        fields = [
            (0, "Uint32", self._codes[op.code, op.version]),
            (1, "Offset", self._numbers(op.inputs)),
            (2, "Offset", self._numbers(op.outputs)),
        ]
        if op.options:
            number, known = _OPTIONS[op.options]
            options = self._table([(*known[name], value) for name, value in op.values.items()])
            fields += [(3, "Uint8", number), (4, "Offset", options)]
        return self._table(fields)

    def _code(self, name: str, version: int) -> int:
        code = BUILTIN_OPS.index(name)
        fields = [(0, "Int8", min(code, _PLACEHOLDER))]
        if version > 1:  # one is the default
            fields.append((2, "Int32", version))
        return self._table([*fields, (3, "Int32", code)])

    def _buffer(self, data: bytes) -> int:
        if not data:
            return self._table([])
        vector = self._builder.CreateNumpyVector(np.frombuffer(data, np.uint8))
        return self._table([(0, "Offset", vector)])

    def _signature(self, index: int, graph: Graph) -> int:
        fields = [
            (0, "Offset", self._named(graph.inputs)),
            (1, "Offset", self._named(graph.outputs)),
            (2, "Offset", self._builder.CreateString(graph.name)),
            (4, "Uint32", index),
        ]
        return self._table(fields)

    def _named(self, tensors: dict[str, Tensor]) -> int:
        """Write a list of tensors with their names."""
        text = self._builder.CreateString
        return self._offsets(
            [
                self._table([(0, "Offset", text(name)), (1, "Uint32", tensor.index)])
                for name, tensor in tensors.items()
            ]
        )

    def _numbers(self, values: Iterable[int]) -> int:
        vector: int = self._builder.CreateNumpyVector(np.array([*values], np.int32))
        return vector

    def _offsets(self, tables: Sequence[int]) -> int:
        """Write a list of tables."""
        builder = self._builder
        builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            builder.PrependUOffsetTRelative(table)
        vector: int = builder.EndVector()
        return vector

    def _table(self, fields: Sequence[_Field]) -> int:
        builder = self._builder
        builder.StartObject(1 + max((slot for slot, _, _ in fields), default=-1))
        for slot, kind, value in fields:
            if kind == "Offset":
                builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                getattr(builder, f"Prepend{kind}Slot")(slot, value, 0)
        table: int = builder.EndObject()
        return table

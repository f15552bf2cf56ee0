"""Writes TFLite graphs op by op.

TensorFlow's own converter decides by itself which ops a matrix product becomes, and its choices
cost a trainable graph most of its speed (a product with weights that are not constant turns into a
single-threaded ``FULLY_CONNECTED``) or do not load in older runtimes. Here each op, its version
and its place are ours: the smallest version that has what is needed, built-in ops only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Scale = float | tuple[float, ...]
"""What one unit of an int8 tensor stands for: in all of it, or in each row of its first axis."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a graph: its index there, its shape, its NumPy type, the unit of an int8 one."""

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: Scale | None = None


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as the file describes it; ``data`` is what a constant holds."""

    name: str
    tensor: Tensor
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Op:
    """An op: its code, version, tensors (-1 for one left out) and options."""

    code: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str | None
    values: dict[str, Any]


@dataclass
class Graph:
    """One signature under construction: a method adds an op and gives its output.

    Attributes
    ----------
    name
        The signature's name.
    inputs, outputs
        By name, in order.
    """

    name: str
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    stored: list[StoredTensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    _constants: dict[tuple[bytes, str, tuple[int, ...]], Tensor] = field(default_factory=dict)

    def input(
        self,
        name: str,
        shape: Sequence[int],
        dtype: Any = np.float32,
        scale: Scale | None = None,
    ) -> Tensor:
        """Add an input of the signature; ``scale`` is what one unit of an int8 one stands for."""
        self.inputs[name] = self._tensor(shape, dtype, name=f"{self.name}_{name}", scale=scale)
        return self.inputs[name]

    def output(self, name: str, tensor: Tensor) -> None:
        """Name a tensor as an output of the signature."""
        self.outputs[name] = tensor

    def constant(self, value: Any, dtype: Any = np.float32, scale: Scale | None = None) -> Tensor:
        """Add a constant; equal small ones are stored once.

        Parameters
        ----------
        value, dtype
            What it holds.
        scale
            What one unit of an int8 constant stands for.
        """
        array = np.ascontiguousarray(value, dtype)
        data = array.tobytes()
        if array.size > 1024:  # noqa: PLR2004 - comparing large constants is not worth their keys
            return self._tensor(array.shape, dtype, data=data, scale=scale)
        key = (data, array.dtype.str, array.shape)
        if key not in self._constants:
            self._constants[key] = self._tensor(array.shape, dtype, data=data, scale=scale)
        return self._constants[key]

    def op(
        self,
        code: str,
        inputs: Sequence[Tensor | None],
        shape: Sequence[int],
        options: str | None = None,
        *,
        version: int = 1,
        dtype: Any = None,
        **values: Any,
    ) -> Tensor:
        """Add an op with one output.

        Parameters
        ----------
        code
            Its name in the TFLite schema, such as ``BATCH_MATMUL``.
        inputs
            Its inputs, ``None`` for an optional one that is left out.
        shape, dtype
            Of its output; the type is the first input's unless given, with the unit of int8.
        options, **values
            The schema's name of its options, and those that differ from the default.
        version
            The smallest that has what is asked for.
        """
        first = next(tensor for tensor in inputs if tensor is not None)
        kind = np.dtype(dtype or first.dtype)
        result = self._tensor(shape, kind, scale=first.scale if kind == np.int8 else None)
        indices = tuple(-1 if tensor is None else tensor.index for tensor in inputs)
        self.ops.append(Op(code, version, indices, (result.index,), options, values))
        return result

    def matmul(self, a: Tensor, b: Tensor, *, adj_x: bool = False, adj_y: bool = False) -> Tensor:
        """Multiply matrices, each optionally transposed."""
        rows, inner = a.shape[-2:][::-1] if adj_x else a.shape[-2:]
        other, columns = b.shape[-2:][::-1] if adj_y else b.shape[-2:]
        if inner != other or a.shape[:-2] != b.shape[:-2]:
            raise ValueError(f"cannot multiply {a.shape} by {b.shape}")
        shape = (*a.shape[:-2], rows, columns)
        return self.op("BATCH_MATMUL", [a, b], shape, "BatchMatMulOptions", adjX=adj_x, adjY=adj_y)

    def add(self, a: Tensor, b: Tensor, *, relu: bool = False) -> Tensor:
        """Add element by element, with broadcasting; then ReLU, if asked for."""
        shape = np.broadcast_shapes(a.shape, b.shape)
        return self.op("ADD", [a, b], shape, "AddOptions", fusedActivationFunction=int(relu))

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        """Subtract element by element, with broadcasting."""
        return self.op("SUB", [a, b], np.broadcast_shapes(a.shape, b.shape), "SubOptions")

    def mul(self, a: Tensor, b: Tensor, *, clip: bool = False) -> Tensor:
        """Multiply element by element, with broadcasting; then cut off at -1 and 1, if asked."""
        shape = np.broadcast_shapes(a.shape, b.shape)
        return self.op("MUL", [a, b], shape, "MulOptions", fusedActivationFunction=2 * int(clip))

    def div(self, a: Tensor, b: Tensor) -> Tensor:
        """Divide element by element, with broadcasting."""
        return self.op("DIV", [a, b], np.broadcast_shapes(a.shape, b.shape), "DivOptions")

    def unary(self, code: str, a: Tensor) -> Tensor:
        """Apply an op without options to each element (``TANH``, ``RELU``, ``SQRT``)."""
        return self.op(code, [a], a.shape)

    def reshape(self, a: Tensor, shape: Sequence[int]) -> Tensor:
        """Read the same values as another shape; -1 stands for the axis whose length may vary."""
        full = [math.prod(a.shape) // -math.prod(shape) if size == -1 else size for size in shape]
        if math.prod(full) != math.prod(a.shape):
            raise ValueError(f"cannot reshape {a.shape} to {shape}")
        return self.op("RESHAPE", [a, self.constant(shape, np.int32)], full)

    def transpose(self, a: Tensor, order: Sequence[int]) -> Tensor:
        """Reorder the axes."""
        shape = [a.shape[axis] for axis in order]
        return self.op("TRANSPOSE", [a, self.constant(order, np.int32)], shape)

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Join along an axis."""
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        return self.op("CONCATENATION", parts, shape, "ConcatenationOptions", axis=axis)

    def joined(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Join along an axis; a single part is left as it is."""
        return self.concat(parts, axis) if len(parts) > 1 else parts[0]

    def slice(self, a: Tensor, axis: int, begin: int, size: int, *, step: int = 1) -> Tensor:
        """Cut a piece along one axis, or take every ``step``-th place of one."""
        if step > 1:
            return self._stepped(a, axis, range(begin, begin + (size - 1) * step + 1, step))
        version = 2 if a.dtype == np.int8 else 1
        begins = [begin if n == axis else 0 for n in range(len(a.shape))]
        sizes = [size if n == axis else full for n, full in enumerate(a.shape)]
        where = [self.constant(begins, np.int32), self.constant(sizes, np.int32)]
        return self.op("SLICE", [a, *where], sizes, version=version)

    def _stepped(self, a: Tensor, axis: int, places: range) -> Tensor:
        whole = [range(full) for full in a.shape]
        taken = [places if n == axis else full for n, full in enumerate(whole)]
        where = [
            self.constant([getattr(own, part) for own in taken], np.int32)
            for part in ("start", "stop", "step")
        ]
        shape = [len(own) for own in taken]
        return self.op("STRIDED_SLICE", [a, *where], shape, "StridedSliceOptions")

    def total(self, a: Tensor, axes: Sequence[int]) -> Tensor:
        """Sum over axes."""
        shape = [full for n, full in enumerate(a.shape) if n not in axes]
        return self.op("SUM", [a, self.constant(axes, np.int32)], shape, "ReducerOptions")

    def mean(self, a: Tensor, axis: int) -> Tensor:
        """Average over an axis, of which one place is left."""
        shape = [1 if n == axis else full for n, full in enumerate(a.shape)]
        axes = self.constant([axis], np.int32)
        return self.op("MEAN", [a, axes], shape, "ReducerOptions", keepDims=True)

    def pad(self, a: Tensor, around: Sequence[tuple[int, int]]) -> Tensor:
        """Put zeros before and behind each axis."""
        shape = [
            before + full + behind for full, (before, behind) in zip(a.shape, around, strict=True)
        ]
        return self.op("PAD", [a, self.constant(around, np.int32)], shape)

    def _tensor(
        self,
        shape: Sequence[int],
        dtype: Any,
        *,
        name: str = "",
        data: bytes | None = None,
        scale: Scale | None = None,
    ) -> Tensor:
        tensor = Tensor(len(self.stored), tuple(map(int, shape)), np.dtype(dtype), scale)
        self.stored.append(StoredTensor(name, tensor, data))
        return tensor

"""Weights as one flat float32 vector, and as safetensors files.

Inside the project the weights of a model are a vector of ``architecture.parameters`` float32
values, the tensors of the manifest one after the other: differences, averages and optimisers are
then plain arithmetic. In files and on the wire they are safetensors, one entry a tensor.
"""

import hashlib
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from shared.architectures import ARCHITECTURES, Architecture
from shared.errors import WeightsError
from shared.files import write_atomically

Weights = NDArray[np.float32]
"""All weights of a model, or a difference of two: shape ``(parameters,)``, float32."""


class Vector(Protocol):
    """A flat float32 vector that can be read piece by piece: an array, or a file on disk."""

    def __len__(self) -> int:
        """Return the number of values."""
        ...

    def __getitem__(self, where: slice, /) -> Weights:
        """Read one contiguous piece."""
        ...


def split(vector: Weights, architecture: Architecture) -> dict[str, NDArray[np.float32]]:
    """View a flat vector as the named tensors of its architecture, without copying."""
    return {spec.name: vector[spec.where].reshape(spec.shape) for spec in architecture.manifest}


def initial_weights(architecture: Architecture, rng: np.random.Generator) -> Weights:
    """Draw fresh weights as Keras does by default.

    Kernels are Glorot-uniform (Glorot & Bengio, 2010), recurrent kernels orthogonal (Saxe et al.,
    2014), biases zero but for the LSTM's forget gates, which are one (Jozefowicz et al., 2015).

    Returns
    -------
    Weights
        Shape ``(architecture.parameters,)``.
    """
    vector = np.zeros(architecture.parameters, np.float32)
    recurrent = {spec.layer for spec in architecture.manifest if "recurrent" in spec.name}
    for name, tensor in split(vector, architecture).items():
        spec = next(spec for spec in architecture.manifest if spec.name == name)
        if name.endswith("recurrent_kernel"):
            rows, columns = spec.shape
            q, r = np.linalg.qr(rng.standard_normal((columns, rows)))
            tensor[:] = (q * np.sign(np.diag(r))).T
        elif name.endswith("kernel"):
            limit = np.sqrt(6 / (spec.fan_in + spec.fan_out))
            tensor[:] = rng.uniform(-limit, limit, spec.shape)
        elif spec.layer in recurrent:
            units = spec.size // 4
            tensor[units : 2 * units] = 1
    return vector


def digest(vector: Weights) -> str:
    """Name weights by the SHA-256 of their little-endian bytes, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(vector, "<f4").data).hexdigest()


def encode_weights(vector: Weights, architecture: Architecture) -> bytes:
    """Serialise weights as safetensors, with the architecture's name in the metadata."""
    return save(split(vector, architecture), {"architecture": architecture.name})


def save_weights(path: Path, vector: Weights, architecture: Architecture) -> None:
    """Write weights to a safetensors file, whole or not at all."""
    write_atomically(path, encode_weights(vector, architecture))


@overload
def load_weights(path: Path, architecture: Architecture) -> Weights: ...
@overload
def load_weights(path: Path) -> tuple[Weights, Architecture]: ...
def load_weights(
    path: Path, architecture: Architecture | None = None
) -> Weights | tuple[Weights, Architecture]:
    """Read weights from a safetensors file, checked against their architecture's manifest.

    Names, shapes, dtypes and the file's length are checked before memory is set aside for the
    values; then that every value is finite.

    Parameters
    ----------
    path
        The file.
    architecture
        What the weights must belong to; if not given, the file's metadata says it.

    Returns
    -------
    Weights or (Weights, Architecture)
        The flat vector; with its architecture where that was not given.

    Raises
    ------
    WeightsError
        If the file is missing, not safetensors, of another architecture, or not finite.
    """
    try:
        with safe_open(path, "numpy") as file:
            found = architecture or _architecture_named(file.metadata() or {}, path)
            _check_manifest(file, found, path)
            vector = np.empty(found.parameters, np.float32)
            for name, tensor in split(vector, found).items():
                tensor[:] = file.get_tensor(name)
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error}).") from error
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.") from error
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror or error}.") from error
    check_finite(vector, str(path))
    return vector if architecture else (vector, found)


def check_finite(vector: Weights, what: str) -> None:
    """Raise :class:`WeightsError` if a value is NaN or infinite."""
    if not np.isfinite(vector).all():
        raise WeightsError(f"{what} holds values that are not finite.")


def _architecture_named(metadata: dict[str, str], path: Path) -> Architecture:
    name = metadata.get("architecture")
    for architecture in ARCHITECTURES.values():
        if architecture.name == name:
            return architecture
    raise WeightsError(
        f"{path} does not say which model its weights belong to.",
        f"Its metadata should name one of {', '.join(ARCHITECTURES)}.",
    )


def _check_manifest(file: Any, architecture: Architecture, path: Path) -> None:
    """Raise unless the file lists exactly the architecture's tensors."""
    expected = {spec.name: spec for spec in architecture.manifest}
    if odd := set(file.keys()) ^ expected.keys():
        raise WeightsError(f"{path} does not hold {architecture.name} weights (tensor {min(odd)}).")
    for name, spec in expected.items():
        tensor = file.get_slice(name)
        if tuple(tensor.get_shape()) != spec.shape or tensor.get_dtype() != "F32":
            raise WeightsError(
                f"{path} does not hold {architecture.name} weights: {name} should be float32 "
                f"{list(spec.shape)}, is {tensor.get_dtype()} {tensor.get_shape()}."
            )

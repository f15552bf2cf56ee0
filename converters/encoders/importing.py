"""Makes an encoder of a Whisper's published weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.encoders import ctranslate2_file, torch_file
from converters.encoders.ctranslate2_file import read_ctranslate2
from converters.encoders.openai_file import read_openai
from converters.encoders.published import Published, in_float32, unfit
from converters.encoders.transformers_file import read_transformers
from shared.encoders.encoder import (
    HEAD_WIDTH,
    MOST_LAYERS,
    Encoder,
    Pooling,
    check_pool,
    check_sizes,
    file_digest,
    product_shapes,
)
from shared.errors import SettingsError, WeightsError
from shared.front_ends.whisper import positions
from shared.storage.files import open_file

SAFETENSORS: Final = ".safetensors"
"""How the names of transformers' files end; nothing else tells them."""

LICENCE: Final = "MIT"
"""Of OpenAI's weights of Whisper, whoever passes them on."""

_WINDOW: Final = 1500
"""Frames for which a Whisper has positions: 30 s."""

_FARTHEST: Final = 2e-3
"""How far its positions may lie from the sinusoids that they are, rounded to float16."""


def import_encoder(
    path: Path, pool: tuple[int, ...] = (1, 2), pooling: Pooling = "mean+std", *, int8: bool = True
) -> Encoder:
    """Make an encoder of a file or folder; the same one gives the same bits.

    Parameters
    ----------
    path
        A faster-whisper folder or its ``model.bin``, an openai-whisper ``.pt``, or the
        ``model.safetensors`` of transformers or its folder.
    pool
        The layers whose outputs are pooled, from 1 in rising order.
    pooling
        What is taken of them.
    int8
        Whether kernels are rounded, with a scale for each row; float32 if not.

    Raises
    ------
    WeightsError
        If the file is not there, cut short, of another layout, or no Whisper.
    SettingsError
        If it has not so many layers.
    """
    published = read_published(path)
    mels, width = _sizes(published)
    tensors: dict[str, NDArray[Any]] = {}
    for name, kernel, bias in _products(published, mels, width, pool[-1]):
        if int8:
            tensors[f"{name}/kernel"], tensors[f"{name}/scale"] = rounded(kernel)
        else:
            tensors[f"{name}/kernel"] = kernel
        tensors[f"{name}/bias"] = bias
    origin = {"source_sha256": file_digest(published.path), "licence": LICENCE}
    return Encoder(mels, width, pool, pooling, tensors, origin)


def parse_pool(layers: int, pool: str | None) -> tuple[int, ...]:
    """Read which of so many layers are pooled: the last two where nothing is said.

    Raises
    ------
    SettingsError
        If they are no rising numbers that end with the last layer.
    """
    if pool is None:
        return tuple(range(max(1, layers - 1), layers + 1))
    numbers = pool.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise SettingsError(f"--pool cannot be {pool!r}: give numbers of layers, such as 1,2.")
    try:
        found = tuple(map(int, numbers))
        check_pool(found)
    except ValueError as error:
        raise SettingsError(f"--pool cannot be {pool!r}: {error}.") from error
    if found[-1] != layers:
        raise SettingsError(
            f"Of {layers} layers, --pool {pool} does not use the last.",
            f"Give --layers {found[-1]}, or pool the last layer too.",
        )
    return found


def rounded(kernel: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a kernel to int8, each row in units of a 127th of its largest value."""
    rows = kernel.reshape(len(kernel), -1)
    scale = np.abs(rows).max(1) / np.float32(127)
    scale[scale == 0] = 1
    units = np.rint(rows / scale[:, None]).astype(np.int8)
    return units.reshape(kernel.shape), scale


def weights_in(path: Path) -> list[Path]:
    """Give the files in which a Whisper's weights may lie: the one that is named, or a folder's."""
    return [path / name for name in ("model.bin", "model.safetensors")] if path.is_dir() else [path]


def read_published(path: Path) -> Published:
    """Read a Whisper's encoder from whatever it lies in."""
    if path.is_dir():
        file = next((each for each in weights_in(path) if each.is_file()), None)
        if file is None:
            raise unfit(path, "the folder has neither a model.bin nor a model.safetensors")
        path = file
    try:
        with open_file(path) as opened:
            start = opened.read(32)
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.") from error
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.") from error
    if start[6:].startswith(ctranslate2_file.MAGIC):
        return Published(path, read_ctranslate2(path))
    if start.startswith(torch_file.MAGIC):
        return Published(path, read_openai(path))
    if path.suffix == SAFETENSORS:
        return Published(path, read_transformers(path))
    raise unfit(path, "it is none of the three kinds of files")


def _sizes(published: Published) -> tuple[int, int]:
    """Give the mel bands and the width; raise where this is no Whisper."""
    conv = published.tensors.get("conv1.weight")
    positional = published.tensors.get("positional_embedding")
    if conv is None or positional is None or conv.ndim != 3:  # noqa: PLR2004 - outputs, inputs, taps
        raise unfit(published.path, "it has no encoder")
    width, mels, _ = conv.shape
    try:
        check_sizes(mels, width)
    except ValueError as error:
        raise unfit(published.path, str(error)) from error
    if positional.shape != (_WINDOW, width):
        raise unfit(published.path, f"its width is {width}, its positions {positional.shape}")
    if not np.allclose(positional, positions(_WINDOW, width), rtol=0, atol=_FARTHEST):
        raise unfit(published.path, "its positions are not those of a Whisper")
    return mels, width


def _products(
    published: Published, mels: int, width: int, layers: int
) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float32]]]:
    """Give name, kernel and bias of each product, as the device computes it."""
    there = sum(f"blocks.{n}.mlp.0.weight" in published.tensors for n in range(MOST_LAYERS))
    if there < layers:
        raise SettingsError(f"{published.path} has {there} layers, not the {layers} asked for.")

    def tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        found = published.tensors.get(name)
        if found is None or found.shape != shape:
            what = "there is none" if found is None else f"it has {found.shape}"
            raise unfit(published.path, f"{name} should have the shape {shape}, and {what}")
        values = found.astype(np.float64)
        if not np.isfinite(values).all():
            raise unfit(published.path, f"{name} holds values that are not finite")
        return values

    for name, shape in product_shapes(mels, width, layers):
        layer, _, part = name.partition("/")
        if not part:
            outputs, taps, inputs = shape
            kernel = tensor(f"{name}.weight", (outputs, inputs, taps)).transpose(0, 2, 1)
            bias = tensor(f"{name}.bias", (outputs,))
        else:
            block = f"blocks.{int(layer.removeprefix('layer')) - 1}"
            theirs, norm = _PARTS[part]
            kernel = tensor(f"{block}.{theirs}.weight", shape)
            # Keys have no bias: one would move all scores of a query alike.
            bias = (
                np.zeros(shape[0]) if part == "key" else tensor(f"{block}.{theirs}.bias", shape[:1])
            )
            if norm:
                gains, offsets = (
                    tensor(f"{block}.{norm}.{kind}", (width,)) for kind in ("weight", "bias")
                )
                with np.errstate(over="ignore", invalid="ignore"):
                    bias = bias + (kernel * offsets).sum(1)
                    kernel = kernel * gains
            if part == "query":
                kernel, bias = kernel / HEAD_WIDTH**0.5, bias / HEAD_WIDTH**0.5
        try:
            yield name, in_float32(f"{name}/kernel", kernel), in_float32(f"{name}/bias", bias)
        except ValueError as error:
            raise unfit(published.path, str(error)) from error


_PARTS: Final = {
    "query": ("attn.query", "attn_ln"),
    "key": ("attn.key", "attn_ln"),
    "value": ("attn.value", "attn_ln"),
    "out": ("attn.out", ""),
    "up": ("mlp.0", "mlp_ln"),
    "down": ("mlp.2", ""),
}
"""What openai-whisper calls a product, and the normalisation that is folded into it."""

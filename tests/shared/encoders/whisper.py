"""A Whisper's encoder in float64, from published weights, and small ones made at random."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.front_ends.whisper import positions

Array = NDArray[np.float64]
Tensors = Mapping[str, NDArray[Any]]

WIDTH, MELS, LAYERS = 128, 20, 3

_erf = np.vectorize(math.erf)


def small(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Make a Whisper of three layers, by the names of openai-whisper."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int, fan: int = 1, around: float = 0) -> NDArray[np.float32]:
        # Such as float16 has, too, so that every layout holds the same values.
        values = around + rng.standard_normal(shape) / math.sqrt(fan)
        return values.astype(np.float16).astype(np.float32)

    made = {"positional_embedding": positions(1500, WIDTH)}
    for name, inputs in (("conv1", MELS), ("conv2", WIDTH)):
        made[f"{name}.weight"] = drawn(WIDTH, inputs, 3, fan=3 * inputs)
        made[f"{name}.bias"] = drawn(WIDTH)
    for layer in range(LAYERS):
        block = f"blocks.{layer}"
        for norm in ("attn_ln", "mlp_ln"):
            made[f"{block}.{norm}.weight"] = drawn(WIDTH, fan=9, around=1)
            made[f"{block}.{norm}.bias"] = drawn(WIDTH, fan=9)
        for part in ("query", "key", "value", "out"):
            made[f"{block}.attn.{part}.weight"] = drawn(WIDTH, WIDTH, fan=WIDTH)
            if part != "key":
                made[f"{block}.attn.{part}.bias"] = drawn(WIDTH)
        for part, rows, columns in (("0", 4 * WIDTH, WIDTH), ("2", WIDTH, 4 * WIDTH)):
            made[f"{block}.mlp.{part}.weight"] = drawn(rows, columns, fan=columns)
            made[f"{block}.mlp.{part}.bias"] = drawn(rows)
    return made


def layer_outputs(tensors: Tensors, mel: NDArray[np.float32], layers: int) -> list[Array]:
    """Compute the outputs of so many layers, shape ``(t, width)`` each, as ``whisper.model`` does.

    Its encoder is cut to the sound's own length: no frame of silence is put behind.
    """
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def dense(x: Array, name: str) -> Array:
        y: Array = x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)
        return y

    def normalised(x: Array, name: str) -> Array:
        off = x - x.mean(1, keepdims=True)
        y: Array = off / np.sqrt((off**2).mean(1, keepdims=True) + 1e-5)
        return y * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def convolved(x: Array, name: str, stride: int) -> Array:
        padded = np.pad(x, ((1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)[::stride]
        y: Array = np.einsum("tik,oik->to", windows, weights[f"{name}.weight"])
        return gelu(y + weights[f"{name}.bias"])

    x = convolved(convolved(mel.astype(np.float64), "conv1", 1), "conv2", 2)
    x += weights["positional_embedding"][: len(x)]
    heads = x.shape[1] // 64
    outputs = []
    for layer in range(layers):
        block = f"blocks.{layer}"
        y = normalised(x, f"{block}.attn_ln")
        query, key, value = (
            dense(y, f"{block}.attn.{part}").reshape(len(y), heads, 64).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / 8
        shares = np.exp(scores - scores.max(2, keepdims=True))
        shares /= shares.sum(2, keepdims=True)
        x = x + dense((shares @ value).swapaxes(0, 1).reshape(x.shape), f"{block}.attn.out")
        y = gelu(dense(normalised(x, f"{block}.mlp_ln"), f"{block}.mlp.0"))
        x = x + dense(y, f"{block}.mlp.2")
        outputs.append(x)
    return outputs


def gelu(x: Array) -> Array:
    """Compute ``x`` times the share of a normal distribution below it."""
    y: Array = x * (1 + _erf(x / math.sqrt(2))) / 2
    return y

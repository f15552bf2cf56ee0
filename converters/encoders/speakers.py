"""Makes a speaker encoder of the weights that Resemblyzer publishes."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.encoders.published import in_float32
from converters.encoders.torch_file import read_tensors
from shared.encoders.encoder import file_digest
from shared.encoders.speaker_encoder import (
    SpeakerEncoder,
    check_sizes,
    parse_pool,
    tensor_shapes,
)
from shared.errors import SettingsError, WeightsError, shown
from shared.model_notes.model_card import ModelCard, Teaching

LICENCE: Final = "Apache-2.0"
"""Of Resemblyzer with its weights."""

CARD: Final = ModelCard(
    taught_by=(
        Teaching(
            corpus="librispeech-other, voxceleb1, voxceleb2",
            title="LibriSpeech (other), VoxCeleb 1 and 2, as far as is known",
            lesson="telling speakers, GE2E",
        ),
    )
)
"""What Resemblyzer's weights were taught by; the file itself does not say it."""

_STATE: Final = "model_state"
"""Where such a file holds its tensors."""


def import_speaker_encoder(path: Path, pool: str) -> SpeakerEncoder:
    """Make a speaker encoder of a file; the same one gives the same bits.

    Parameters
    ----------
    path
        Resemblyzer's ``pretrained.pt``, or one of the same layout.
    pool
        The layers whose outputs are pooled, as ``1,2``; or ``embedding``.

    Raises
    ------
    WeightsError
        If the file is not there, cut short, or of another layout.
    SettingsError
        If it has no such layers.
    """
    digest = file_digest(path)
    try:
        state = read_tensors(path, _STATE)
    except ValueError as error:
        raise _unfit(path, str(error)) from error
    layers = sum(name.startswith("lstm.weight_ih_l") for name in state)
    recurrent, linear = (state.get(n) for n in ("lstm.weight_hh_l0", "linear.weight"))
    if recurrent is None or linear is None or not recurrent.ndim == linear.ndim == 2:  # noqa: PLR2004 - matrices
        raise _unfit(path, "it has no recurrent layers with a linear one behind them")
    width, units = recurrent.shape[1], len(linear)
    try:
        check_sizes(width, units, layers)
        tensors = {
            name: _tensor(state, name, shape) for name, shape in tensor_shapes(width, units, layers)
        }
    except ValueError as error:
        raise _unfit(path, str(error)) from error
    try:
        pooled = parse_pool(layers, pool)
    except ValueError as error:
        raise SettingsError(
            f"--pool cannot be {pool!r}: {error}.",
            "Give numbers of layers, such as 1,2, or 'embedding'.",
        ) from error
    origin = {"source_sha256": digest, "licence": LICENCE, **CARD.to_metadata()}
    return SpeakerEncoder(width, units, layers, pooled, tensors, origin)


def _tensor(
    state: dict[str, NDArray[Any]], name: str, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Give a tensor as Keras has it: transposed, and of two biases the sum.

    The gates are in the same order: input, forget, cell, output (``torch.nn.LSTM``).
    """
    layer, _, kind = name.partition("/")
    summands = []
    for theirs in _names(layer, kind):
        found = state.get(theirs)
        if found is None or found.shape != shape[::-1]:
            what = "there is none" if found is None else f"it has {found.shape}"
            raise ValueError(f"{theirs} should have the shape {shape[::-1]}, and {what}")
        summands.append(found.T)
    # Not before: a tensor without values may say that it is of any width.
    total = np.zeros(shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for summand in summands:
            total += summand
    return in_float32(name, total)


def _names(layer: str, kind: str) -> tuple[str, ...]:
    if layer == "embedding":
        return ("linear.weight" if kind == "kernel" else "linear.bias",)
    number = int(layer.removeprefix("lstm")) - 1
    match kind:
        case "kernel":
            return (f"lstm.weight_ih_l{number}",)
        case "recurrent_kernel":
            return (f"lstm.weight_hh_l{number}",)
    return f"lstm.bias_ih_l{number}", f"lstm.bias_hh_l{number}"


def _unfit(path: Path, why: str) -> WeightsError:
    return WeightsError(
        f"{path} holds no speaker encoder that can be read: {shown(why)}.",
        "Give the pretrained.pt of Resemblyzer.",
    )

"""Reads the ``model.safetensors`` of a Whisper as transformers stores it."""

import re
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from shared.storage.tensor_file import TensorFile

_HEADER_LIMIT: Final = 1 << 20
"""Bytes of a header; that of the largest Whisper has 160,000."""

_ENCODER: Final = re.compile(r"(?:model\.)?encoder\.(.+)")
_LAYER: Final = re.compile(r"layers\.(\d+)\.(.+)\.(weight|bias)")

_NAMES: Final = {
    "self_attn_layer_norm": "attn_ln",
    "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key",
    "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}


def read_transformers(path: Path) -> dict[str, NDArray[Any]]:
    """Read the encoder's tensors; raises as :class:`TensorFile` does."""
    file = TensorFile(path, header_limit=_HEADER_LIMIT)
    return {
        _renamed(found[1]): file.read(name)
        for name in file.tensors
        if (found := _ENCODER.fullmatch(name))
    }


def _renamed(name: str) -> str:
    """Give a tensor the name it has in openai-whisper."""
    if name == "embed_positions.weight":
        return "positional_embedding"
    if (found := _LAYER.fullmatch(name)) and found[2] in _NAMES:
        return f"blocks.{found[1]}.{_NAMES[found[2]]}.{found[3]}"
    return name

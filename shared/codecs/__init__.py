"""How an update is written for the wire: the codecs, by the names that messages carry.

A codec turns a vector of float32 values into a few flat arrays, and gives the vector back piece by
piece from a file. How many values each array has follows from the model alone, so an update's size
is known before it is sent.
"""

from typing import Final

from shared.codecs.codec import Codec
from shared.codecs.float16 import Float16
from shared.codecs.float32 import Float32
from shared.codecs.int8 import Int8
from shared.codecs.sign import Sign
from shared.codecs.top import Top
from shared.errors import SettingsError

__all__ = ["CODECS", "Codec", "make_codec"]

_EVERY_VALUE: Final = (
    Float32(),
    Float16(),
    Int8("int8", per_channel=False),
    Int8("int8-channel", per_channel=True),
)

_PERCENTAGES: Final = (10, 5, 1)
"""Shares of the values that may be kept."""

_KEPT: Final = (*_EVERY_VALUE, Sign(per_channel=False, zeros=False))

_TOP: Final = tuple(Top(percent, of) for percent in _PERCENTAGES for of in _KEPT)

_SIGN: Final = Sign(per_channel=True, zeros=True)

CODECS: Final[dict[str, Codec]] = {codec.name: codec for codec in (*_EVERY_VALUE, _SIGN, *_TOP)}
"""Every codec by its name."""


def make_codec(name: str) -> Codec:
    """Give the codec of this name.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if name not in CODECS:
        raise SettingsError(f"There is no codec {name[:64]}; there are: {', '.join(CODECS)}.")
    return CODECS[name]

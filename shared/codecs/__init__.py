"""How an update is written for the wire: the codecs, by the names that messages carry.

A codec turns a vector of float32 values into a few flat arrays, and gives the vector back piece by
piece from a file. How many values each array has follows from the model alone, so an update's size
is known before it is sent.
"""

from typing import Any, Final

from shared.codecs.codec import Codec
from shared.codecs.float16 import Float16
from shared.codecs.float32 import Float32
from shared.codecs.int8 import Int8
from shared.codecs.sign import Sign
from shared.codecs.top import Top
from shared.registry import Registry

__all__ = ["CODECS", "Codec", "make_codec"]


def _check(thing: Any) -> Codec:
    codec = thing() if isinstance(thing, type) and issubclass(thing, Codec) else thing
    if not isinstance(codec, Codec):
        raise TypeError("it should be a shared.codecs.Codec, or a subclass that takes no arguments")
    return codec


CODECS: Final[Registry[Codec]] = Registry(
    "codec",
    {
        codec.name: codec
        for codec in (
            Float32(),
            Float16(),
            Int8(),
            Sign(per_channel=True, zeros=True),
            Top(10, Sign(per_channel=False, zeros=False)),
            Top(5, Int8()),
        )
    },
    _check,
)
"""Every codec by its name."""


def make_codec(name: str) -> Codec:
    """Give the codec of this name.

    Raises
    ------
    SettingsError
        If there is none.
    """
    return CODECS.get(name)

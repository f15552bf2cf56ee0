"""Reads the ``.pt`` of openai-whisper without running any code that it asks for."""

from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from converters.encoders.published import unfit
from converters.encoders.torch_file import read_tensors

_PREFIX: Final = "encoder."


def read_openai(path: Path) -> dict[str, NDArray[Any]]:
    """Read the encoder's tensors.

    Raises
    ------
    WeightsError
        If the file is cut short, asks for anything but tensors, or has no Whisper.
    """
    try:
        tensors = read_tensors(path, "model_state_dict", _PREFIX)
    except ValueError as error:
        raise unfit(path, str(error)) from error
    return {name.removeprefix(_PREFIX): value for name, value in tensors.items()}

"""What an announcement says of secure rounds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from shared.protocol.fields import Bytes32, Name
from shared.round_settings import MOST_COUNTED, MOST_SECURE

_Octave = Annotated[int, Field(ge=-64, le=64)]


class SecureOffer(BaseModel):
    """What a secure round is: its ring, and who takes part."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bits: Annotated[int, Field(ge=8, le=16)]
    """Numbers are added modulo ``2 ** bits``."""
    examples: Annotated[int, Field(ge=1, le=MOST_COUNTED)]
    """Examples of a client that count, at most."""
    octaves: Annotated[list[_Octave], Field(max_length=1024)]
    """For each tensor, the power of two that a value may reach."""
    noise: Annotated[FiniteFloat, Field(ge=0, le=1e6)] = 0.0
    """Deviation of the noise that the fewest devices of a sum add together, as a multiple of what
    the octaves say; then all devices weigh the same, and only updates are added up."""
    fewest: Annotated[int, Field(ge=3, le=MOST_SECURE)]
    """Fewest devices in the sum."""
    devices: Annotated[dict[Name, Bytes32], Field(max_length=MOST_SECURE)]
    """Who is invited, and the lasting key of each, in hexadecimal; nobody between rounds."""

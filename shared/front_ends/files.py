"""Front ends that lie in a file: encoders, and networks that know speech.

Each is named after its file's digest, by which a task asks for it.
"""

from collections.abc import Callable
from pathlib import Path

from shared.audio import Samples
from shared.encoders import speaker_encoder
from shared.encoders.encoder import HEADER_LIMIT, file_digest, read_encoder
from shared.encoders.network import read_network
from shared.frames import Frames
from shared.front_ends import (
    FRONT_ENDS,
    LARGEST_OUTPUT,
    WHISPER,
    WHISPER_WHOLE,
    EncoderFeatures,
    FrontEnd,
)
from shared.front_ends.network import NetworkFeatures
from shared.front_ends.speaker import SpeakerFeatures
from shared.storage.tensor_file import TensorFile
from shared.task import FrontEndShape


def front_end_in(path: Path) -> FrontEnd:
    """Make the front end of a file, or find it again.

    Raises
    ------
    WeightsError
        If it is neither that of an encoder nor that of a network that knows speech.
    """
    digest = file_digest(path)
    if digest == WHISPER.weights:
        return FRONT_ENDS.get(WHISPER.name)
    metadata, path = TensorFile(path, header_limit=HEADER_LIMIT).metadata, path.resolve()
    if metadata.get("format") == speaker_encoder.FORMAT:
        features = speaker_encoder.read_speaker_encoder(path).features
        return _made("ge2e", features, digest, SpeakerFeatures(path, digest))
    if "architecture" in metadata:
        return _made("network", read_network(path).units, digest, NetworkFeatures(path, digest))
    features = read_encoder(path).features
    # The one that pools over all of an utterance stands beside it, for models that began with it.
    for shape in (WHISPER_WHOLE, WHISPER):
        compute = EncoderFeatures(path, digest, speech=shape is WHISPER)
        made = _made(shape.name, features, digest, compute)
    return made


def _made(name: str, features: int, digest: str, compute: Callable[[Samples], Frames]) -> FrontEnd:
    shape = FrontEndShape(f"{name}-{digest[:8]}", 1, 1, features, weights=digest)
    made = FrontEnd(shape, None, compute, largest=LARGEST_OUTPUT)
    FRONT_ENDS.put(shape.name, made)
    return made

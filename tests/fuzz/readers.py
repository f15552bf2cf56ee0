"""Everything that reads bytes from outside, and good bytes for each of it to begin with.

A reader reads, or refuses with an error of the project; whatever else it does is a find.
"""

import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import soundfile

from aggregator.enrolment.key_file import HandedOver, KeyFile
from aggregator.secure.journal import Journal
from aggregator.secure.round import SecureRound
from edge_client.device import archive
from edge_client.device.stored import Stored
from shared.architectures import architecture_of
from shared.audio import read_clip
from shared.codecs import CODECS, make_codec
from shared.codecs.update_file import UpdateFile, encode_update
from shared.model_notes import ModelNotes
from shared.model_notes.calibration import load_calibration
from shared.protocol.frames import Chunk
from shared.protocol.joining import JoinAnswer, JoinRequest
from shared.protocol.messages import (
    Accepted,
    Announcement,
    Offer,
    Presence,
    Want,
    decode_reply,
    decode_request,
)
from shared.protocol.part_file import PartFile, record_of
from shared.protocol.secure import (
    Consent,
    Consents,
    Declined,
    Keys,
    Revealed,
    Roster,
    SealedShares,
    Survivors,
)
from shared.secure import masked_update
from shared.task import DEFAULT_TASK
from shared.trust.issuing import Root, issue
from shared.trust.keys import SecretKey
from shared.trust.link import Link
from shared.trust.signing import signed
from shared.trust.succession import hand_over, signer_of
from shared.weights import load_weights, save_weights
from tests.edge_client.device.calibrated import CALIBRATION
from tests.edge_client.device.heard import frames, recognised
from tests.fuzz import files, nonsense, strangers
from tests.fuzz.folder import FOLDER, written
from tests.secure_rounds import TERMS, Federation
from tests.shared.codecs.models import SMALL, update

DIGEST: Final = "ab" * 32

_SOUNDS: Final = (
    *("WAV PCM_16", "WAV FLOAT", "WAV ULAW", "WAV IMA_ADPCM", "WAVEX PCM_24", "W64 PCM_16"),
    *("FLAC PCM_16", "OGG VORBIS", "AIFF PCM_16", "AU PCM_16", "CAF PCM_16", "MP3 MPEG_LAYER_III"),
)

_OF_CLAIMS: Final = ("WAV PCM_16", "FLAC PCM_16", "MP3 MPEG_LAYER_III", "OGG VORBIS")

_CODECS: Final = [make_codec(name) for name in CODECS]
"""Made once: to look for those of installed packages takes far longer than to read an update."""

_KEY: Final = SecretKey(bytes(32))
_JOINING: Final = (JoinRequest, JoinAnswer)
_SECURE: Final = (Keys, Roster, SealedShares, Survivors, Consent, Consents, Revealed, Declined)


class Reader(NamedTuple):
    """What reads, and good bytes for it."""

    read: Callable[[bytes], object]
    inputs: Callable[[], list[bytes]]


def read_frame(data: bytes) -> None:
    """Read a frame."""
    assert Chunk.decode(data).encode() == data


def frame_inputs() -> list[bytes]:
    """Make a frame."""
    return [Chunk(DIGEST, 5, b"payload").encode()]


def read_words(data: bytes) -> None:
    """Read a message, as each that it may be."""
    decoders = (Announcement.decode, Presence.decode, decode_request, decode_reply)
    message = decoders[data[0] % len(decoders) if data else 0](data[1:])
    assert type(message).decode(message.encode()) == message


def words_inputs() -> list[bytes]:
    """Make messages of several kinds."""
    offer = Offer(
        update=DIGEST, size=9, run=DIGEST[:32], round=1, model=DIGEST, codec="int8", examples=3
    )
    return [
        bytes([kind]) + message.encode()
        for kind, message in (
            (1, Presence(state="online", examples=3)),
            (2, offer),
            (2, Want(file=DIGEST, ranges=[(0, 5), (7, 9)])),
            (3, Accepted(update=DIGEST)),
        )
    ]


def read_trust(data: bytes) -> None:
    """Read what is said before anybody is believed: links, signatures, requests to join, keys."""
    kind, rest = data[0] % 6 if data else 0, data[1:]
    if kind == 0:
        link = Link.of(rest.decode("latin-1"))
        assert Link.of(str(link)) == link
    elif kind == 1:
        signer_of(_KEY.public, "topic", rest)
    elif kind == 4:
        Root(_KEY.public, "chorus").signer_of(5, "topic", rest)
    elif kind == 5:
        KeyFile.read(written(rest))
    else:
        message = _JOINING[kind - 2].decode(rest)
        assert type(message).decode(message.encode()) == message


def trust_inputs() -> list[bytes]:
    """Make one of each."""
    link = Link("hub.local", 8883, "chorus", "kitchen", _KEY.public, bytes(16))
    request = JoinRequest(key=DIGEST, half=DIGEST, nonce=DIGEST[:32], proof=DIGEST)
    new = SecretKey(bytes([1] * 32))
    issued = JoinAnswer(nonce=DIGEST[:32], issued=issue(_KEY, "chorus", 7, new.public))
    handed_over = JoinAnswer(nonce=DIGEST[:32], succession=[hand_over(_KEY, new.public)])
    return [
        b"\0" + str(link).encode(),
        b"\0" + str(replace(link, issued=7)).encode(),
        b"\4" + signed(new, "topic", issued.encode(), 7),
        b"\1" + signed(_KEY, "topic", request.encode(), 7),
        b"\1" + signed(new, "topic", handed_over.encode(), 7),
        b"\5" + _key_file(),
        b"\2" + request.encode(),
        b"\3" + JoinAnswer(nonce=DIGEST[:32], half=DIGEST, sentence="Ask again.").encode(),
    ]


def _key_file() -> bytes:
    """Write a key that a root has issued, and that another has handed over to."""
    new, root = SecretKey(bytes([1] * 32)), SecretKey(bytes([2] * 32))
    handed_over = HandedOver(_KEY.public, hand_over(_KEY, new.public))
    issued = issue(root, "chorus", 3, new.public)
    KeyFile(new, (handed_over,), Root(root.public, "chorus"), issued).write(FOLDER / "key")
    return (FOLDER / "key").read_bytes()


def read_secure(data: bytes) -> None:
    """Read what is said in a secure round: a message, a masked update, or a journal of it all."""
    kind, rest = data[0] % (len(_SECURE) + 2) if data else 0, data[1:]
    if kind < len(_SECURE):
        message = _SECURE[kind].decode(rest)
        assert type(message).decode(message.encode()) == message
    elif kind == len(_SECURE):
        assert masked_update.encoded(TERMS, masked_update.decoded(TERMS, rest)) == rest
    else:
        journal = Journal(written(rest))
        try:
            SecureRound(TERMS, {}, journal)
        finally:
            journal.close()


def secure_inputs() -> list[bytes]:
    """Take a round, and give all that was said in it."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        federation = Federation(Path(folder), 3)
        federation.run()
        journal = Journal(Path(folder) / "journal")
        entries = [message for name, message in journal.entries() if name == "device-00"]
        journal.close()
        whole = (Path(folder) / "journal").read_bytes()
    keys, shares, masked, consent, revealed = entries
    declined = Declined(run=DIGEST[:32], round=3).encode()
    said = {0: keys, 2: shares, 4: consent, 6: revealed, 7: declined, 8: masked, 9: whole}
    return [bytes([kind]) + message for kind, message in said.items()]


def read_record(data: bytes) -> None:
    """Read the record of a file that arrives in pieces."""
    path = FOLDER / "part"
    path.write_bytes(bytes(100))
    record_of(path).write_bytes(data)
    file = PartFile(path, 100, DIGEST)
    assert file.durable.total <= 100
    file.close()


def record_inputs() -> list[bytes]:
    """Make a record."""
    path = FOLDER / "good"
    part = PartFile(path, 100, DIGEST)
    part.write(0, bytes(100))
    part.flush()
    part.close()
    return [record_of(path).read_bytes()]


def read_update(data: bytes) -> None:
    """Read an update's file, as of each codec."""
    codec = _CODECS[data[0] % len(_CODECS) if data else 0]
    assert UpdateFile(written(data[1:]), codec, SMALL).check(1e6) <= 1e6


def update_inputs() -> list[bytes]:
    """Make an update of each codec."""
    found, path = [], FOLDER / "good"
    for number, codec in enumerate(_CODECS):
        rng = np.random.default_rng(0)
        encode_update(update(SMALL), SMALL, codec, rng).write(path)
        found.append(bytes([number]) + path.read_bytes())
    return found


def read_model(data: bytes) -> None:
    """Read a model's file: of an architecture that is known, or of the one that it names."""
    path = written(data[1:])
    if data[:1] == b"\0":
        load_calibration(path)
        assert load_weights(path, SMALL).shape == (SMALL.parameters,)
    else:
        load_weights(path)


def model_inputs() -> list[bytes]:
    """Make a small model, and the beginning of one that could be named in its file."""
    path, tdnn = FOLDER / "good", architecture_of("tdnn", DEFAULT_TASK)
    save_weights(path, update(SMALL), SMALL)
    small = path.read_bytes()
    save_weights(path, np.zeros(tdnn.parameters, np.float32), tdnn)
    save_weights(path.with_name("calibrated"), update(SMALL), SMALL, ModelNotes(CALIBRATION))
    calibrated = path.with_name("calibrated").read_bytes()
    return [
        *(b"\0" + small, b"\1" + small, b"\0" + calibrated),
        b"\1" + path.read_bytes()[:4096],
    ]


def read_archive(data: bytes) -> None:
    """Read exported examples, as an import does."""
    archive.read_for(written(data), DEFAULT_TASK.front_end)


def archive_inputs() -> list[bytes]:
    """Make two examples, stored and compressed."""
    path, known = FOLDER / "good", [recognised(), recognised()]
    features = np.stack([np.pad(frames(seed, 2), ((0, 1), (0, 0))) for seed in range(2)])
    stored = Stored(
        DEFAULT_TASK.front_end, DEFAULT_TASK.names, tuple(known), features, np.full(2, 2, np.int32)
    )
    archive.write(path, stored)
    with np.load(path) as arrays:
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
    return [path.read_bytes(), packed.getvalue()]


def read_sound(data: bytes) -> None:
    """Read a clip."""
    samples = read_clip(written(data))
    assert samples.dtype == np.float32
    assert np.abs(samples).max() <= 1


def sound_inputs() -> list[bytes]:
    """Make a short clip of each format, and some whose header says less than there is."""
    found: dict[str, bytes] = {}
    sound = 0.3 * np.sin(np.arange(800) / 5)
    for form in _SOUNDS:
        kind, subtype = form.split()
        file = io.BytesIO()
        soundfile.write(file, sound, 16_000, subtype, format=kind)
        found[form] = file.getvalue()
    wav, flac, mp3, ogg = (found[form] for form in _OF_CLAIMS)
    cut_off = wav[:40] + bytes(4) + wav[44:]  # a recorder that did not come to its end
    goes_on = flac[:25] + bytes([flac[25] // 2]) + flac[26:]
    tagged = b"ID3\4\0\0\0\0\0\5" + b"TITLE" + mp3
    return [*found.values(), cut_off, goes_on, tagged, mp3 + mp3, mp3 + tagged, ogg + ogg]


READERS: Final = {
    "frame": Reader(read_frame, frame_inputs),
    "words": Reader(read_words, words_inputs),
    "trust": Reader(read_trust, trust_inputs),
    "secure": Reader(read_secure, secure_inputs),
    "record": Reader(read_record, record_inputs),
    "update": Reader(read_update, update_inputs),
    "model": Reader(read_model, model_inputs),
    "archive": Reader(read_archive, archive_inputs),
    "sound": Reader(read_sound, sound_inputs),
    "settings": Reader(files.read_settings, files.settings_inputs),
    "beside": Reader(files.read_beside_a_model, files.beside_inputs),
    "encoder": Reader(files.read_an_encoder, files.encoder_inputs),
    "table": Reader(files.read_table, files.table_inputs),
    "answer": Reader(files.read_answer, files.answer_inputs),
    "backup": Reader(files.read_backup, files.backup_inputs),
    "page": Reader(strangers.to_device_page, strangers.device_page_inputs),
    "operator": Reader(strangers.to_operator_page, strangers.operator_page_inputs),
    "broker": Reader(strangers.to_broker, strangers.broker_inputs),
    "client": Reader(nonsense.to_client, nonsense.client_inputs),
}
"""By the names that the command line takes."""

_BY_CONNECTION: Final = ("page", "operator", "broker", "client")

DECODERS: Final = [name for name in READERS if name not in _BY_CONNECTION]
"""Those that need no connection."""

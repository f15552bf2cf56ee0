"""Files of people, and what programs beside a device or an aggregator answer; good ones of each."""

import hashlib
import io
import json
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from aggregator.enrolment.mosquitto import _responses
from aggregator.ledger.backup import back_up, restore
from aggregator.ledger.folder import FederationFolder
from aggregator.rounds.federation import Federation
from aggregator.server.settings import ServeSettings
from converters.encoders.importing import read_published
from converters.encoders.speakers import import_speaker_encoder
from edge_client.federation.shortcut import Shortcut
from edge_client.settings import RunSettings
from edge_client.simulation import partition_file
from edge_client.simulation.settings import SimulationSettings
from edge_client.words.topic import read_words
from edge_client.words.wyoming import answer_of
from shared.codecs import make_codec
from shared.codecs.update_file import encode_update
from shared.corpora import manifest
from shared.corpora.motion import MotionFiles
from shared.encoders.encoder import read_encoder
from shared.encoders.speaker_encoder import read_speaker_encoder
from shared.features.prior import Prior, save_prior
from shared.features.start_file import load_start
from shared.features.voice_file import save_voice
from shared.fused_model import FusedModel
from shared.protocol.messages import File
from shared.settings import Settings
from shared.task import DEFAULT_TASK, Task
from shared.weights import save_weights
from tests.aggregator.web.staged import settings_of
from tests.converters.layouts import (
    HOSTILE,
    small_encoder,
    write_ctranslate2,
    write_hostile,
    write_openai,
    write_resemblyzer,
    write_transformers,
)
from tests.edge_client.device.pooled import POOLED
from tests.edge_client.device.test_words import write_fused
from tests.edge_client.words.recogniser import transcript
from tests.fuzz.folder import FOLDER, written
from tests.shared.codecs.models import SMALL, update
from tests.shared.encoders.speakers import small_speakers
from tests.shared.encoders.whisper import small
from tests.shared.features.voice_models import voice_model

_TASK: Final = Task(DEFAULT_TASK.labels, POOLED.shape)
"""Of one vector an utterance, as voice models and fused ones are."""

_ONE: Final = File(digest="ab" * 32, size=1)

_COMMANDS: Final[tuple[type[Settings], ...]] = (RunSettings, ServeSettings, SimulationSettings)


def read_settings(data: bytes) -> None:
    """Read a settings file of a command."""
    command = _COMMANDS[data[0] % len(_COMMANDS) if data else 0]
    command.collect({}, written(data[1:]))


def settings_inputs() -> list[bytes]:
    """Write some settings of each, with those of a task."""
    run = 'labels = ["angry", "sad"]\nwords = "tiny.en"\nshow_words = true\n[broker]\nport = 1883\n'
    serve = 'strategy = "median"\ndp_epsilon = 8.0\nweb = "127.0.0.1:8480"\nquorum = 3\n'
    simulation = 'corpus = "synthetic"\nrounds = 3\nattack = "scale"\nclip_norm = 1.0\n'
    return [bytes([n]) + text.encode() for n, text in enumerate((run, serve, simulation))]


def read_beside_a_model(data: bytes) -> None:
    """Read what belongs to a model: where statistics begin, what fuses words, a difference."""
    kind, path = data[0] % 4 if data else 0, written(data[1:])
    if kind == 0:
        load_start(path, DEFAULT_TASK)
    elif kind == 1:
        load_start(path, _TASK)
    elif kind == 2:
        model = FusedModel.read(path)
        features = model.task.front_end.features
        width = model.text_width
        shares = model.probabilities(np.ones(features, np.float32), np.ones(width, np.float32))
        assert len(shares) == len(model.task.labels)
    else:
        shortcut = Shortcut(_ONE, "cd" * 32, _ONE, "int8", SMALL)
        shortcut.take(_base(), path, FOLDER / "out")


def _base() -> Path:
    path = FOLDER / "base"
    if not path.exists():
        save_weights(path, update(SMALL), SMALL)
    return path


def beside_inputs() -> list[bytes]:
    """Make one of each."""
    prior, voice, fused, difference = (FOLDER / name for name in ("p", "v", "f", "d"))
    save_prior(prior, Prior(np.zeros(34), np.ones(34), 40), DEFAULT_TASK)
    features, labels = _TASK.front_end.features, len(_TASK.labels)
    save_voice(voice, voice_model(labels, features=features), _TASK)
    write_fused(fused, _TASK, width=4)
    encode_update(update(SMALL, 1), SMALL, make_codec("int8"), np.random.default_rng(0)).write(
        difference
    )
    files = enumerate((prior, voice, fused, difference))
    return [bytes([kind]) + path.read_bytes() for kind, path in files]


def read_an_encoder(data: bytes) -> None:
    """Read an encoder's file, or the weights that one is made of."""
    kind, path = data[0] % 4 if data else 0, written(data[1:], "input.safetensors")
    if kind == 0:
        read_encoder(path)
    elif kind == 1:
        read_published(path)
    elif kind == 2:
        read_speaker_encoder(path)
    else:
        import_speaker_encoder(path, "1,2")


def encoder_inputs() -> list[bytes]:
    """Make the weights of a Whisper in each layout, cut down to corners of its tensors."""
    corner = {
        name: np.ascontiguousarray(value[tuple(slice(3) for _ in value.shape)])
        for name, value in small().items()
        if "blocks.1" not in name and "blocks.2" not in name
    }
    paths = [FOLDER / name for name in ("ours", "whole", "int8", "pt", "transformers")]
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        small_encoder(Path(folder), int8=True).write(paths[0])
    write_ctranslate2(paths[1], corner)
    write_ctranslate2(paths[2], corner, "int8")
    with pytest.MonkeyPatch.context() as patch:
        write_openai(paths[3], corner, patch)
    write_transformers(paths[4], corner)
    speakers = [FOLDER / name for name in ("old.pt", "new.pt", "speakers")]
    with pytest.MonkeyPatch.context() as patch:
        for path in speakers[:2]:
            write_resemblyzer(path, small_speakers(), patch, old=path == speakers[0])
    import_speaker_encoder(speakers[0], "1,2").write(speakers[2])
    # Of an encoder its header alone, and a little more: its values do not decide anything.
    begun = [bytes([n > 0]) + path.read_bytes()[:6000] for n, path in enumerate(paths)]
    whole = zip((3, 3, 2), speakers, strict=True)
    return begun + [bytes([kind]) + path.read_bytes() for kind, path in whole] + _hostile()


def _hostile() -> list[bytes]:
    """Make files of PyTorch that ask for what no tensor needs."""
    found, path = [], FOLDER / "hostile.pt"
    for pickled in HOSTILE.values():
        for old in (True, False):
            write_hostile(path, pickled, old=old)
            found += [bytes([3]) + path.read_bytes()]
    return found


def read_table(data: bytes) -> None:
    """Read a list of clips, which client has which of them, or captured motion."""
    kind, rest = data[0] % 3 if data else 0, data[1:]
    if kind == 0:
        manifest.load(written(rest, "clips.csv"))
    elif kind == 1:
        partition_file._read(written(rest))
    else:
        motion = MotionFiles((written(rest),), 0.5, 2.5).read()
        assert not np.isinf(motion).any()


def table_inputs() -> list[bytes]:
    """Write one of each."""
    clips = 'path,label,speaker,text,motion\na.wav,angry,1,"well, no",a.txt\nb.wav,sad,2,,b.txt\n'
    motion = "".join(f"{n} {n / 10:.2f} 1.5 NaN {n}e-1\n" for n in range(40))
    return [
        b"\0" + clips.encode(),
        b"\1" + b"clip,client\na.wav,kitchen\nb.wav,desk\n",
        b"\2" + b"Frame Time X Y Z\n" + motion.encode(),
    ]


def read_answer(data: bytes) -> None:
    """Read words from a topic, those that a recogniser answers, or what Mosquitto answers."""
    kind, rest = data[0] % 3 if data else 0, data[1:]
    if kind == 0:
        read_words(rest, "topic")
    elif kind == 1:
        with suppress(ValueError, TypeError, OverflowError, RecursionError):  # as it says
            answer_of(io.BytesIO(rest))
    else:
        assert all(isinstance(one, dict) for one in _responses(rest))


def answer_inputs() -> list[bytes]:
    """Make one of each."""
    ping = b'{"type": "ping", "data": {"text": "x"}, "payload_length": 3}\nabc'
    responses = [{"command": "createClient", "correlationData": "3", "error": "exists"}]
    return [
        b"\0" + json.dumps({"text": "It is late.", "utterance": 12}).encode(),
        b"\1" + ping + transcript("It is late."),
        b"\2" + json.dumps({"responses": responses}).encode(),
    ]


def read_backup(data: bytes) -> None:
    """Put a federation back."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        restore(written(data), FederationFolder(Path(folder, "state")))
        assert sorted(path.name for path in Path(folder).iterdir()) == ["state"]


def backup_inputs() -> list[bytes]:
    """Copy a federation, without its models; and make one whose ledger is none."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        with Federation(settings_of(Path(folder, "state"), 2)) as federation:
            back_up(federation.folder, Path(folder, "tar"))
        with tarfile.open(Path(folder, "tar")) as tar:
            (ledger,) = (_content(tar, name) for name in tar.getnames() if name.startswith("led"))
    return [_tar(ledger), _tar(b"x")]


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file
    return file.read()


def _tar(ledger: bytes) -> bytes:
    """Make a backup of a ledger and a key."""
    files = {"ledger.sqlite": ledger, "key.pem": b"y"}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    contents = {"format": "chorus-aggregator-backup", "version": 1, "files": digests}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in {"backup.json": json.dumps(contents).encode(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()

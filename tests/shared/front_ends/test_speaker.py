"""The front end that hears through a speaker encoder, against Keras and librosa."""

import os
from pathlib import Path

import numpy as np
import pytest

from converters.encoders.speakers import import_speaker_encoder
from converters.keras_import import import_tensorflow
from shared.audio import RATE, Samples
from shared.encoders.speaker_encoder import SpeakerEncoder
from shared.errors import WeightsError
from shared.front_ends import front_end_named, front_end_of
from shared.front_ends.speaker import LONGEST, _encoder, layers_of, powers_heard, vector_of
from tests.converters.layouts import write_resemblyzer
from tests.shared.encoders.speakers import UNITS, WIDTH, small_speakers

RNG = np.random.default_rng(4)
SOUND: Samples = (0.2 * RNG.standard_normal(11 * RATE)).astype(np.float32)


@pytest.fixture(params=["small", "published"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "small":
        path = tmp_path / "pretrained.pt"
        write_resemblyzer(path, small_speakers(), monkeypatch)
        return path
    named = os.environ.get("CHORUS_RESEMBLYZER")
    if named is None:
        pytest.skip("no speaker encoder: name Resemblyzer's pretrained.pt with CHORUS_RESEMBLYZER")
    return Path(named)


@pytest.mark.parametrize("loudness", [0.001, 0.2])
@pytest.mark.parametrize("seconds", [0.1, 0.515, 3])
def test_the_spectrum_is_that_of_resemblyzer(seconds: float, loudness: float) -> None:
    from librosa.feature import melspectrogram

    samples = SOUND[: int(seconds * RATE)] * np.float32(loudness)
    root = np.sqrt(np.square(samples.astype(np.float64)).mean())
    louder = samples * max(1, 10 ** (-30 / 20) / root)  # normalize_volume(increase_only=True)
    wanted = melspectrogram(y=louder, sr=RATE, n_fft=400, hop_length=160, n_mels=40).T
    found = powers_heard(samples)
    assert np.abs(found - wanted).max() < 1e-5 * wanted.max()


def reference(encoder: SpeakerEncoder, heard: Samples) -> tuple[list[Samples], Samples]:
    """Compute layers and embedding with Keras."""
    import_tensorflow()
    import keras

    outputs, x = [], heard[None]
    for layer in range(1, encoder.layers + 1):
        own = keras.layers.LSTM(encoder.width, return_sequences=True)
        own.build(x.shape)
        kinds = ("kernel", "recurrent_kernel", "bias")
        own.set_weights([encoder.tensors[f"lstm{layer}/{kind}"] for kind in kinds])
        x = np.asarray(own(x))
        outputs.append(x[0])
    embedding = keras.layers.Dense(encoder.units, activation="relu")
    embedding.build((1, encoder.width))
    embedding.set_weights([encoder.tensors[f"embedding/{kind}"] for kind in ("kernel", "bias")])
    raw = np.asarray(embedding(x[:, -1]))[0]
    return outputs, raw / np.linalg.norm(raw)


def test_layers_and_embedding_are_those_of_keras(source: Path) -> None:
    samples = SOUND[: 2 * RATE]
    encoder = import_speaker_encoder(source, "embedding")
    heard = powers_heard(samples)
    outputs, embedding = reference(encoder, heard)
    for wanted, found in zip(outputs, layers_of(encoder, heard, encoder.layers), strict=True):
        assert np.abs(found - wanted).max() < 1e-3 * np.abs(wanted).max()
    found = vector_of(encoder, samples)
    assert np.abs(found - embedding).max() < 1e-3 * embedding.max()
    pooled = vector_of(import_speaker_encoder(source, "2,3"), samples)  # noise is speech throughout
    wanted = np.concatenate([f(own, axis=0) for own in outputs[1:] for f in (np.mean, np.std)])
    assert np.abs(pooled - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_pauses_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pretrained.pt"
    write_resemblyzer(path, small_speakers(), monkeypatch)
    encoder = import_speaker_encoder(path, "1")
    speech = SOUND[:RATE]
    pause = np.zeros(RATE, np.float32)
    # The sound as a whole is loud enough not to be made louder, with the pause and without it.
    alone, behind = (vector_of(encoder, x) for x in (speech, np.concatenate([speech, pause])))
    assert np.abs(alone - behind).max() < 0.02 * np.abs(alone).max()


def test_a_file_is_named_by_its_digest_and_silence_has_a_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path = tmp_path / "pretrained.pt", tmp_path / "ge2e.safetensors"
    write_resemblyzer(source, small_speakers(), monkeypatch)
    import_speaker_encoder(source, "1,2").write(path)
    found = front_end_named(str(path))
    assert found.shape.name == f"ge2e-{found.shape.weights[:8]}"
    assert front_end_of(found.shape) == front_end_named(str(path)) == found
    for sound in (SOUND[:RATE], np.zeros(RATE, np.float32), SOUND[:400]):
        assert found.compute(sound).shape == (1, 4 * WIDTH)
    long = found.compute(SOUND)
    np.testing.assert_array_equal(long, found.compute(SOUND[:LONGEST]))
    import_speaker_encoder(source, "embedding").write(path)
    _encoder.cache_clear()
    with pytest.raises(WeightsError, match="is not the encoder of the task any more"):
        found.compute(SOUND[:RATE])
    assert front_end_named(str(path)).compute(SOUND[:RATE]).shape == (1, UNITS)

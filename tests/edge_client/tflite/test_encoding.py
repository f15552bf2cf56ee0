"""The vector of an utterance, in the runtime that is installed, against float64."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.audio import RATE, Samples
from shared.errors import AudioError
from shared.front_ends import FRONT_ENDS
from shared.front_ends.log_mel import log_mel
from shared.front_ends.whisper import Encoding, speech_shares
from tests.converters.layouts import small_encoder
from tests.shared.encoders.whisper import MELS, WIDTH, layer_outputs, small

RNG = np.random.default_rng(4)
SOUND: Samples = (0.2 * RNG.standard_normal(11 * RATE)).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.5, 1.015, 4])
@pytest.mark.parametrize(("int8", "error"), [(False, 1e-4), (True, 0.1)])
def test_layers_are_equal_to_the_reference(
    tmp_path: Path,
    seconds: float,
    int8: bool,  # noqa: FBT001 - a parameter of the test
    error: float,
) -> None:
    samples = SOUND[: int(seconds * RATE)]
    encoding = Encoding(small_encoder(tmp_path, int8=int8), threads=1)
    vector = encoding.vector(samples)
    outputs = layer_outputs(small(), log_mel(samples, MELS), 3)
    pooled = []
    for layer in (1, 3):
        output = outputs[layer - 1]
        found = encoding.layer(layer)
        assert np.abs(found - output).max() <= error * np.abs(output).max()
        pooled += [output.mean(0), output.std(0)]
    wanted = np.concatenate(pooled)
    assert np.abs(vector - wanted).max() <= error * np.abs(wanted).max()


def test_only_the_mean_is_pooled_if_that_is_asked_for(tmp_path: Path) -> None:
    both = small_encoder(tmp_path, int8=False)
    mean = Encoding(replace(both, pooling="mean"), threads=1).vector(SOUND[:RATE])
    whole = Encoding(both, threads=1).vector(SOUND[:RATE])
    np.testing.assert_allclose(
        mean, np.concatenate([whole[:WIDTH], whole[2 * WIDTH : 3 * WIDTH]]), atol=1e-5
    )


def test_only_speech_is_pooled(tmp_path: Path) -> None:
    encoding = Encoding(small_encoder(tmp_path, int8=False), threads=1)
    samples = SOUND[: 2 * RATE].copy()
    samples[: RATE // 2] *= 1e-3
    samples[-RATE // 2 :] *= 1e-3
    vector = encoding.vector(samples)
    heard = speech_shares(log_mel(samples, MELS)) > 0
    assert 0.48 < heard.mean() < 0.55
    layers = [encoding.layer(layer)[heard] for layer in (1, 3)]
    wanted = np.concatenate([part for own in layers for part in (own.mean(0), own.std(0))])
    assert np.abs(vector - wanted).max() <= 1e-4 * np.abs(wanted).max()
    whole = encoding.vector(samples, speech=False)
    layers = [encoding.layer(layer) for layer in (1, 3)]
    wanted = np.concatenate([part for own in layers for part in (own.mean(0), own.std(0))])
    assert np.abs(whole - wanted).max() <= 1e-4 * np.abs(wanted).max()
    assert np.abs(whole - vector).max() > 0.1 * np.abs(wanted).max()


def test_what_was_heard_before_changes_nothing(tmp_path: Path) -> None:
    encoding = Encoding(small_encoder(tmp_path, int8=True), threads=1)
    first = encoding.vector(SOUND[:RATE])
    encoding.vector(SOUND[: 3 * RATE])
    assert encoding.vector(SOUND[:RATE]).tobytes() == first.tobytes()
    lengths = [RATE, 2 * RATE, RATE, 3 * RATE] * 3
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda length: encoding.vector(SOUND[:length]), lengths))
    assert all(each.tobytes() == first.tobytes() for each in vectors[::2])


def test_an_utterance_is_one_row_whatever_its_length() -> None:
    whisper = FRONT_ENDS.get("whisper-speech")
    assert whisper.frames_of(1.0) == 0
    for samples in (SOUND[:400], SOUND[:1600], SOUND, np.zeros(RATE, np.float32)):
        assert whisper.compute(samples).shape == (1, 1536)
    np.testing.assert_array_equal(
        whisper.compute(SOUND), whisper.compute(SOUND[: 10 * RATE]), "the first 10 s"
    )
    with pytest.raises(AudioError, match=r"less than one window of 0.025 s"):
        whisper.compute(SOUND[:399])
    with pytest.raises(AudioError, match="not finite"):
        whisper.compute(np.full(RATE, np.nan, np.float32))

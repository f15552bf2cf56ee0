"""The front end that hears through an encoder, against a reference in float64."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.audio import RATE, Samples
from shared.encoders.encoder import read_encoder
from shared.errors import SettingsError, WeightsError
from shared.front_ends import FRONT_ENDS, TINY_EN, WHISPER, front_end_named, front_end_of
from shared.front_ends.log_mel import log_mel
from shared.front_ends.whisper import SURELY, speech_shares
from shared.task import DEFAULT_TASK, Task
from tests.converters.layouts import small_encoder
from tests.shared.encoders.whisper import WIDTH

RNG = np.random.default_rng(4)
SOUND: Samples = (0.2 * RNG.standard_normal(11 * RATE)).astype(np.float32)


@pytest.mark.parametrize("count", [400, 1600, 1601, 8160, 16_240, 48_319, 160_000])
def test_the_spectrum_is_that_of_whisper(count: int) -> None:
    from librosa.core import stft
    from librosa.filters import mel

    samples, begun = SOUND[:count], -(-count // 160)
    power = np.abs(stft(samples, n_fft=400, hop_length=160, pad_mode="reflect"))[:, :begun] ** 2
    level = mel(sr=RATE, n_fft=400, n_mels=80) @ power
    level = np.log10(np.maximum(level, 1e-10))
    wanted = (np.maximum(level, level.max() - 8) + 4) / 4
    np.testing.assert_allclose(log_mel(samples, 80), wanted.T, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_silence_and_an_even_sound_are_pooled_whole(frames: int) -> None:
    even = [np.float32(1 / -(-frames // 2))] * -(-frames // 2)
    spectrum = np.zeros((frames, 3), np.float32)
    assert speech_shares(spectrum).tolist() == even
    spectrum[::2, 1] = np.linspace(0, SURELY, len(even))
    assert speech_shares(spectrum).tolist() == even


@pytest.mark.parametrize("pauses", [0.0, 1.2, 1.5])  # silence, and noise 32 and 20 dB below
def test_pauses_do_not_count_be_they_silent_or_noisy(pauses: float) -> None:
    spectrum = np.full((20, 3), pauses, np.float32)
    spectrum[3:9, 2] = 2.0
    shares = speech_shares(spectrum)
    assert np.flatnonzero(shares).tolist() == [1, 2, 3, 4]
    assert shares.sum() == 1


def test_it_travels_to_other_processes() -> None:
    there = pickle.loads(pickle.dumps(FRONT_ENDS.get("whisper-speech")))  # noqa: S301 - our own
    assert there == FRONT_ENDS.get("whisper-speech")


def test_an_encoder_of_one_s_own_is_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    small_encoder(tmp_path, int8=True).write(path)
    found = front_end_named(str(path))
    assert found.shape.features == 4 * WIDTH
    assert found.shape.name == f"whisper-speech-{found.shape.weights[:8]}"
    assert front_end_of(found.shape) == front_end_named(str(path)) == found
    assert found.compute(SOUND[:RATE]).shape == (1, 4 * WIDTH)
    before = replace(found.shape, name=f"whisper-{found.shape.weights[:8]}")
    assert front_end_of(before).compute(SOUND[:RATE]).shape == (1, 4 * WIDTH)
    assert front_end_named(str(TINY_EN)) is FRONT_ENDS.get("whisper-speech")


def test_an_encoder_that_was_changed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    small_encoder(tmp_path, int8=True, seed=1).write(path)
    found = front_end_named(str(path))
    small_encoder(tmp_path, int8=True, seed=2).write(path)
    with pytest.raises(WeightsError, match="is not the encoder of the task any more"):
        found.compute(SOUND[:RATE])


def test_a_task_whose_encoder_is_not_here_is_one_sentence() -> None:
    with pytest.raises(SettingsError) as caught:
        front_end_of(replace(WHISPER, name="whisper-abcdef12", weights="abcdef12" * 8))
    assert caught.value.problem == (
        "The task is heard through an encoder that is not here: whisper-abcdef12, SHA-256 "
        f"{'abcdef12' * 8}."
    )
    assert "--front-end FILE.safetensors" in caught.value.remedy
    with pytest.raises(SettingsError, match="with the encoder abcdef12"):
        front_end_of(replace(WHISPER, weights="abcdef12" * 8))


def test_a_device_of_another_encoder_is_told_in_words() -> None:
    here = Task(DEFAULT_TASK.labels, WHISPER)
    there = Task(DEFAULT_TASK.labels, replace(WHISPER, weights="abcdef12" * 8))
    assert (here.difference(there) or "").startswith("its encoder is abcdef12")


@pytest.mark.parametrize("kept", [0, 7, 5_000, -1])
def test_an_encoder_cut_short_is_one_sentence(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "own.safetensors"
    small_encoder(tmp_path, int8=True).write(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"own.safetensors is not a whole safetensors file"):
        front_end_named(str(path))


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        ({"width": "100"}, "no Whisper has a width of 100"),
        ({"width": "x"}, "is a damaged encoder"),
        ({"mels": "999999999"}, "no Whisper has"),
        ({"pool": "2,1"}, "should rise"),
        ({"pool": "1,2"}, "its tensors are not those"),
        ({"pooling": "median"}, "its pooling is none of"),
        ({"format": "another"}, "is no encoder of this version"),
    ],
    ids=str,
)
def test_a_damaged_encoder_is_one_sentence(
    tmp_path: Path, change: dict[str, str], clause: str
) -> None:
    path = tmp_path / "own.safetensors"
    made = small_encoder(tmp_path, int8=True)
    replace(made, origin={**made.origin, **change}).write(path)
    with pytest.raises(WeightsError, match=clause):
        read_encoder(path)


def test_kernels_of_two_kinds_are_no_encoder(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    rounded, whole = (small_encoder(tmp_path, int8=int8) for int8 in (True, False))
    key = {name: whole.tensors[name] for name in whole.tensors if name.startswith("layer1/key/")}
    kept = {name: one for name, one in rounded.tensors.items() if name != "layer1/key/scale"}
    replace(rounded, tensors=kept | key).write(path)
    with pytest.raises(WeightsError, match="its tensors are not those"):
        read_encoder(path)

"""Varied copies of clips: each part does what it says, and copies are trained on only."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.simulation.data import divide, prepare
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import Copies, Utterances, load_utterances
from edge_client.simulation.waveforms import (
    DIRECT,
    REVERBERATION,
    SEMITONES,
    SNR,
    TEMPO,
    Variation,
    at_pitch,
    at_tempo,
    in_room,
    varied_clips,
    vary,
    with_noise,
)
from shared.audio import RATE, Samples
from shared.corpora import load_corpus
from shared.features.cache import extract_features
from shared.front_ends import FRONT_ENDS, FrontEnd
from shared.task import PAPER34
from shared.training import Examples
from tests.edge_client.tiny import examples, utterances


def tone(seconds: float = 2.0, hertz: float = 440.0) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(np.sin(2 * np.pi * hertz * times) / 2, np.float32)


def pitch(samples: Samples) -> float:
    middle = samples[RATE // 4 : RATE] * np.hanning(RATE - RATE // 4)
    size = 1 << 18
    return float(np.abs(np.fft.rfft(middle, size)).argmax() * RATE / size)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("semitones", [-2.0, 1.0, 2.0])
def test_the_pitch_changes_and_the_length_does_not(semitones: float) -> None:
    shifted = at_pitch(tone(), semitones)
    assert shifted.dtype == np.float32
    assert len(shifted) == 2 * RATE
    assert pitch(shifted) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)


@pytest.mark.parametrize("tempo", [0.9, 1.1])
def test_the_tempo_changes_and_the_pitch_does_not(tempo: float) -> None:
    faster = at_tempo(tone(), tempo)
    assert len(faster) == pytest.approx(2 * RATE / tempo, abs=2)
    assert pitch(faster) == pytest.approx(440, rel=0.01)


def test_a_room_dies_away_in_its_time() -> None:
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    heard = in_room(click, 0.3, 6.0, rng())
    assert len(heard) == RATE
    assert not heard[:99].any() or np.abs(heard[:99]).max() < 1e-6
    assert heard[100] == pytest.approx(1, abs=1e-5)
    echo = heard[101 : 101 + round(0.3 * RATE)].astype(np.float64)
    assert 10 * np.log10(1 / np.square(echo).sum()) == pytest.approx(6, abs=0.01)
    early, late = echo[: RATE // 50], echo[RATE // 10 : RATE // 10 + RATE // 50]
    fall = 10 * np.log10(np.square(early).sum() / np.square(late).sum())
    assert fall == pytest.approx(60 * 0.1 / 0.3, abs=2)
    assert np.abs(heard[101 + round(0.3 * RATE) :]).max() < 1e-6


@pytest.mark.parametrize("pink", [False, True])
@pytest.mark.parametrize("snr", [10.0, 30.0])
def test_noise_is_as_far_below_as_is_said(snr: float, *, pink: bool) -> None:
    clean = tone()
    noise = with_noise(clean, snr, rng(), pink=pink).astype(np.float64) - clean
    found = 10 * np.log10(np.square(clean, dtype=np.float64).sum() / np.square(noise).sum())
    assert found == pytest.approx(snr, abs=0.01)
    power = np.square(np.abs(np.fft.rfft(noise)))
    octaves = power[500:1000].sum(), power[4000:8000].sum()
    assert octaves[1] / octaves[0] == pytest.approx(1 if pink else 8, rel=0.2)


def test_silence_stays_silent() -> None:
    varied = vary(np.zeros(RATE, np.float32), Variation(1, 1.1, 0.2, 0, 10, pink=True), rng())
    assert not varied.any()


def test_variations_are_drawn_over_their_ranges() -> None:
    random = rng()
    drawn = [Variation.drawn(random) for _ in range(500)]
    for values, low, high in (
        ([one.semitones for one in drawn], -SEMITONES, SEMITONES),
        ([one.tempo for one in drawn], 1 - TEMPO, 1 + TEMPO),
        ([one.reverberation for one in drawn], *REVERBERATION),
        ([one.direct for one in drawn], *DIRECT),
        ([one.snr for one in drawn], *SNR),
    ):
        assert low <= min(values) < low + (high - low) / 20
        assert high - (high - low) / 20 < max(values) <= high
    assert 200 < sum(one.pink for one in drawn) < 300


CLIPS = load_corpus("synthetic", speakers=3, clips_per_speaker=4).clips


def test_copies_differ_and_are_the_same_the_next_time() -> None:
    copies = varied_clips(CLIPS[:2], 2, seed=7)
    assert [copy.identifier for copy in copies] == [
        f"{clip.identifier}#{number}" for clip in CLIPS[:2] for number in (1, 2)
    ]
    sounds = [copy.read() for copy in copies]
    for sound, again in zip(sounds, varied_clips(CLIPS[:2], 2, seed=7), strict=True):
        np.testing.assert_array_equal(sound, again.read())
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= 1
    everything = [*copies, *varied_clips(CLIPS[:2], 2, seed=8), *CLIPS[:2]]
    assert len({one.content_key() for one in everything}) == 10
    assert len({one.read().tobytes() for one in everything}) == 10


def test_copies_are_computed_once(tmp_path: Path) -> None:
    copies, paper = varied_clips(CLIPS[:3], 2, seed=7), FRONT_ENDS.get("paper34")
    first = extract_features(copies, paper, tmp_path)

    def fail(_: Samples) -> None:
        pytest.fail("features were computed, not taken from the cache")

    cached = FrontEnd(PAPER34, 0.1, fail)  # type: ignore[arg-type]  # it never gives any
    again = extract_features(copies, cached, tmp_path)
    np.testing.assert_array_equal(again.features, first.features)
    assert not np.array_equal(
        extract_features(CLIPS[:3], paper, tmp_path).features, first.features[::2]
    )


def copied(speakers: int = 6, each: int = 8, number: int = 2) -> Utterances:
    """Make utterances with copies, whose first feature says which utterance they are of."""
    plain = utterances(speakers, each)
    count = len(plain.examples)
    sources = np.repeat(np.arange(count), number)[1:]  # the first has one copy less
    own = examples(len(sources), seed=1)
    own.features[:, :20, 0] = sources[:, None]
    copies = Examples(own.features, own.frames, plain.examples.labels[sources])
    return Utterances(
        plain.examples, plain.speakers, (), copies=Copies(copies, sources, plain.speakers[sources])
    )


def simulation(**values: Any) -> SimulationSettings:
    return SimulationSettings.parse({"folds": 3, "normalisation": "none", **values})


@pytest.mark.parametrize("partition", ["random", "speaker"])
def test_copies_go_where_their_clips_go_and_are_trained_on_only(partition: str) -> None:
    whole = copied()
    settings = simulation(partition=partition)
    parts, places = divide(whole, settings)
    sources = whole.copies.sources if whole.copies else np.empty(0)
    held = np.concatenate(places)
    originals = held[held < 48]
    assert sorted(originals) == sorted(parts.train)
    for place in places:
        of = sources[place[place >= 48] - 48]
        expected = np.repeat(place[place < 48], 2)
        assert sorted(of) == sorted(expected[1:] if 0 in place else expected)
    data = prepare(whole, settings)
    plain = prepare(utterances(6, 8), settings)
    np.testing.assert_array_equal(data.test.features, plain.test.features)
    np.testing.assert_array_equal(data.validation.features, plain.validation.features)
    for client, place in zip(data.clients, places, strict=True):
        of = sources[place[place >= 48] - 48]
        np.testing.assert_array_equal(client.features[-len(of) :, 0, 0], of)
        np.testing.assert_array_equal(client.labels[-len(of) :], whole.examples.labels[of])


def test_copies_count_in_no_statistics() -> None:
    whole, train = copied(), np.arange(48)
    for how in ("corpus", "device"):
        normal = normalise(whole, train, how, FRONT_ENDS.get("paper34"))
        assert len(normal) == 48 + 95
        plain = normalise(utterances(6, 8), train, how, FRONT_ENDS.get("paper34"))
        np.testing.assert_array_equal(normal.features[:48], plain.features)
        assert np.abs(normal.features[48:]).max() <= 5, "copies are normalised, too"


def test_speakers_that_join_bring_their_copies() -> None:
    settings = simulation(training_speakers=2, partition="speaker", validation=False)
    whole = copied()
    assert whole.copies is not None
    parts, places = divide(whole, settings)
    assert len(np.unique(whole.speakers[parts.train])) == len(places) == 2
    taught = np.concatenate(places)
    sources = whole.copies.sources[taught[taught >= len(whole.examples)] - len(whole.examples)]
    assert len(sources)
    assert {*sources} <= {*parts.train}


def test_a_corpus_is_loaded_with_its_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHORUS_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "edge_client.simulation.utterances.load_corpus",
        lambda *_, **__: load_corpus("synthetic", speakers=3, clips_per_speaker=4),
    )
    whole = load_utterances(simulation(augment_waveforms=2, seed=3))
    assert whole.copies is not None
    assert whole.copies.sources.tolist() == [place for place in range(12) for _ in range(2)]
    np.testing.assert_array_equal(whole.copies.examples.labels, np.repeat(whole.examples.labels, 2))
    assert load_utterances(simulation()).copies is None
    both = load_utterances(simulation(augment_waveforms=2, augment_conditions=1, seed=3))
    assert both.copies is not None
    assert both.copies.sources.tolist() == [*whole.copies.sources, *range(12)]
    first = both.copies.examples.features[:24]
    np.testing.assert_array_equal(first, whole.copies.examples.features)
    noisy = both.copies.examples.features[24:]
    assert all((noisy[place] != whole.examples.features[place]).any() for place in range(12))

"""What happens to speech on its way: each condition does what its name says."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_client.simulation.degradations import (
    CLEAN,
    CONDITIONS,
    FLOORS,
    HUM,
    LOW,
    REVERBERATION,
    SNRS,
    TELEPHONE,
    TRAINED_FLOOR,
    TRAINED_SNR,
    VOICES,
    condition_of,
    copies_in_conditions,
    cut_out,
    degraded,
    degraded_clips,
)
from shared.audio import RATE, Samples
from shared.corpora import load_corpus
from shared.corpora.corpus import AudioFile, Clip
from shared.errors import SettingsError

NOISES = ("white", "pink", "babble", "hum")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone(seconds: float = 2.0, hertz: float = 440.0, height: float = 0.1) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(height * np.sin(2 * np.pi * hertz * times), np.float32)


OTHERS = [rng(9).standard_normal(5000).astype(np.float32), tone(1.3, 300), tone(0.4, 700)]


def decibels(samples: Samples) -> float:
    return float(10 * np.log10(np.square(samples, dtype=np.float64).mean()))


def power_between(samples: Samples, low: float, high: float) -> float:
    powers = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(powers[(low <= hertz) & (hertz < high)].sum() / powers.sum())


def test_there_are_all_conditions() -> None:
    assert len(CONDITIONS) == 1 + 4 * 3 + 4 * 3 + 5
    assert CONDITIONS[0] == CLEAN
    for name in ("white:20dB", "hum:5dB", "pink:-50dBFS", "babble:-80dBFS", "mp3"):
        assert name in CONDITIONS


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_seed_degrades_alike_and_the_sound_stays_in_range(name: str) -> None:
    speech = tone(height=0.9)
    before = speech.copy()
    one = degraded(speech, name, rng(), OTHERS)
    assert one.dtype == np.float32
    assert np.abs(one).max() <= 1
    assert abs(len(one) - len(speech)) < 0.15 * RATE
    np.testing.assert_array_equal(speech, before)
    assert one.tobytes() == degraded(speech, name, rng(), OTHERS).tobytes()
    if name.startswith(NOISES):
        assert one.tobytes() != degraded(speech, name, rng(1), OTHERS).tobytes()


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("snr", SNRS)
def test_noise_is_so_many_decibels_below_the_speech(noise: str, snr: int) -> None:
    speech = tone()
    added = degraded(speech, f"{noise}:{snr}dB", rng(), OTHERS) - speech
    assert decibels(speech) - decibels(added) == pytest.approx(snr, abs=0.05)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("floor", FLOORS)
@pytest.mark.parametrize("height", [0.0, 0.01, 0.3])
def test_noise_of_a_fixed_level_has_it_whatever_the_speech(
    noise: str, floor: int, height: float
) -> None:
    speech = tone(height=height)
    added = degraded(speech, f"{noise}:{floor}dBFS", rng(), OTHERS) - speech
    assert decibels(added) == pytest.approx(floor, abs=0.1)


def test_white_noise_has_as_much_in_each_hertz_and_pink_in_each_octave() -> None:
    silence = np.zeros(8 * RATE, np.float32)
    white = degraded(silence, "white:-50dBFS", rng(), ())
    pink = degraded(silence, "pink:-50dBFS", rng(), ())
    assert power_between(white, 1000, 2000) == pytest.approx(1 / 8, rel=0.05)
    assert power_between(white, 4000, 8000) == pytest.approx(1 / 2, rel=0.05)
    assert power_between(pink, 4000, 8000) == pytest.approx(
        power_between(pink, 1000, 2000), rel=0.1
    )


def test_hum_is_the_mains_and_its_harmonics() -> None:
    hum = degraded(np.zeros(4 * RATE, np.float32), "hum:-50dBFS", rng(), ())
    lines = sum(power_between(hum, k * HUM - 1, k * HUM + 1) for k in range(1, 9))
    assert lines == pytest.approx(1, abs=1e-3)
    assert power_between(hum, HUM - 1, HUM + 1) > 0.6


def test_babble_is_the_others_and_as_loud_whoever_they_are() -> None:
    low, high = tone(1.0, 300, 0.5), tone(1.0, 700, 0.01)
    babble = degraded(np.zeros(2 * RATE, np.float32), "babble:-50dBFS", rng(), [low, high])
    assert power_between(babble, 250, 350) == pytest.approx(0.5, abs=0.05)
    assert power_between(babble, 650, 750) == pytest.approx(0.5, abs=0.05)


def test_a_room_goes_on_when_the_speech_has_ended() -> None:
    speech = np.concatenate([tone(1.0), np.zeros(RATE, np.float32)])
    heard = degraded(speech, "room", rng(), ())
    after = [RATE + round(part * REVERBERATION * RATE) for part in (0, 0.5, 1.0, 2.0)]
    falling = [float(np.square(heard[a:b]).sum()) for a, b in pairwise(after)]
    assert falling[0] > 10 * falling[1] > 0
    assert decibels(heard[:RATE]) > decibels(speech[:RATE])


def test_a_telephone_has_its_band_and_few_steps() -> None:
    white = degraded(np.zeros(4 * RATE, np.float32), "white:-50dBFS", rng(), ())
    heard = degraded(white * 30, "telephone", rng(), ())
    assert power_between(heard, *TELEPHONE) > 0.98
    assert len(np.unique(heard)) <= 255


def test_low_speech_has_its_level_in_16_bits() -> None:
    heard = degraded(tone(height=0.5), "low", rng(), ())
    assert decibels(heard) == pytest.approx(LOW, abs=0.01)
    steps = heard.astype(np.float64) * 32767
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert not degraded(np.zeros(RATE, np.float32), "low", rng(), ()).any()


def test_a_level_that_is_too_high_cuts_the_peaks() -> None:
    speech = rng().standard_normal(RATE).astype(np.float32) * np.float32(0.01)
    heard = degraded(speech, "clipped", rng(), ())
    assert np.mean(np.abs(heard) >= 1) == pytest.approx(0.05, abs=0.002)


def test_an_mp3_is_nearly_the_same() -> None:
    speech = tone() + tone(hertz=1300)
    heard = degraded(speech, "mp3", rng(), ())[: len(speech)]
    assert 15 < decibels(speech) - decibels(heard - speech) < 60


def clips() -> tuple[Clip, ...]:
    return load_corpus("synthetic", speakers=3, clips_per_speaker=4).clips


def test_degraded_clips_are_clips_with_a_key_of_their_own() -> None:
    some = clips()
    for name in ("white:10dB", "room"):
        changed = degraded_clips(some, name, 0)
        assert [clip.identifier for clip in changed] == [clip.identifier for clip in some]
        assert [clip.label for clip in changed] == [clip.label for clip in some]
        keys = {clip.content_key() for each in (some, changed) for clip in each}
        keys |= {clip.content_key() for clip in degraded_clips(some, name, 1)}
        assert len(keys) == 3 * len(some)
        again = degraded_clips(some, name, 0)[3].read()
        assert changed[3].read().tobytes() == again.tobytes()
    assert degraded_clips(some, CLEAN, 0) == list(some)


def test_babble_is_made_of_other_speakers() -> None:
    some = clips()
    owner = {clip.source: clip.speaker for clip in some}
    for clip in degraded_clips(some, "babble:10dB", 0):
        others = clip.source.others  # type: ignore[attr-defined]  # of a DegradedSound
        assert len(others) == VOICES
        assert clip.speaker not in {owner[other] for other in others}
    alone = [clip for clip in some if clip.speaker == some[0].speaker]
    assert len(degraded_clips(alone, "babble:10dB", 0)[0].read())


def test_copies_to_train_on_are_in_many_conditions_but_never_in_babble() -> None:
    many = load_corpus("synthetic", speakers=20, clips_per_speaker=8).clips
    copies = copies_in_conditions(many, 2, 0)
    assert [copy.identifier for copy in copies[:2]] == [
        f"{many[0].identifier}#condition{number}" for number in (1, 2)
    ]
    assert [copy.label for copy in copies[::2]] == [clip.label for clip in many]
    names = [copy.source.condition for copy in copies]  # type: ignore[attr-defined]  # as above
    kinds = {name.partition(":")[0] for name in names}
    assert kinds == {"white", "pink", "hum", "room", "telephone", "low", "clipped"}
    by_unit = {
        unit: [float(name[: -len(unit)].partition(":")[2]) for name in names if name.endswith(unit)]
        for unit in ("dB", "dBFS")
    }
    for unit, (lowest, highest) in {"dB": TRAINED_SNR, "dBFS": TRAINED_FLOOR}.items():
        assert lowest <= min(by_unit[unit]) < max(by_unit[unit]) <= highest
        assert 0.2 < len(by_unit[unit]) / len(names) < 0.47
    for copy in copies[:20]:
        assert len(copy.read())
    assert copies == copies_in_conditions(many, 2, 0)
    assert copies != copies_in_conditions(many, 2, 1)


def test_an_unknown_condition_is_refused() -> None:
    for name in ("rain", "rain:10dB", "white", "white:10", "white:10dBFS", "room:3dB"):
        with pytest.raises(SettingsError, match=f"no condition {name}; there are: clean, white"):
            condition_of(name)


def test_noise_of_any_level_goes_by_its_name() -> None:
    speech = tone()
    added = degraded(speech, "white:12.5dB", rng(), ()) - speech
    assert decibels(speech) - decibels(added) == pytest.approx(12.5, abs=0.05)


def test_all_copies_of_a_speaker_with_one_number_are_in_one_condition() -> None:
    some = clips()
    copies = copies_in_conditions(some, 2, 0)
    conditions: dict[str, set[str]] = {}
    for clip, copy in zip((one for one in some for _ in range(2)), copies, strict=True):
        number = copy.identifier.rpartition("#condition")[2]
        assert copy.speaker == f"{clip.speaker}#condition{number}"
        conditions.setdefault(copy.speaker, set()).add(
            copy.source.condition  # type: ignore[attr-defined]  # of a DegradedSound
        )
    assert len(conditions) == 6
    assert {len(own) for own in conditions.values()} == {1}
    assert len(set.union(*conditions.values())) > 3


def test_every_other_copy_is_what_a_device_cuts_out(tmp_path: Path) -> None:
    clip = clips()[0]
    quiet = np.zeros(2 * RATE, np.float32)
    soundfile.write(tmp_path / "long.wav", np.concatenate([quiet, clip.read(), quiet]), RATE)
    long = replace(clip, source=AudioFile(tmp_path / "long.wav"))
    cut, whole = copies_in_conditions([long], 2, 0)
    assert len(whole.read()) == len(long.read())
    assert 0 < len(cut.read()) - len(clip.read()) < 2 * RATE, "what it hears before and after"
    assert len({copy.content_key() for copy in (cut, whole, long)}) == 3


def test_what_no_device_would_notice_stays_whole() -> None:
    nothing = np.zeros(RATE, np.float32)
    np.testing.assert_array_equal(cut_out(nothing), nothing)

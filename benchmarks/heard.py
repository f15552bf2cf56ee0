"""What can be heard in features that an attacker has rebuilt from updates.

    python -m benchmarks.heard --data RAVDESS --whisper FOLDER [--out FOLDER] [--write DOCUMENT]

RAVDESS' actors say one of two sentences of six words, of which four are the same. Features are
those of single utterances: as they are, and rebuilt from an update of that utterance alone, which
is the worst case.

- **words**: sound is made of the 34 features of ``paper34``: noise with the spectrum that the
  cepstral coefficients describe and the loudness of each tenth of a second. A recogniser (Whisper)
  says what it understands. The figure is the share of the six words that are among that.
- **sentence**: which of the two it was, told from features by discriminant analysis on their
  principal components, learned from true features of other actors. Guessing is right half the time.

The sounds are written to FOLDER, to be listened to.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_client.simulation.engines import Engines
from edge_client.simulation.studies.attacks.inferences import Components
from edge_client.simulation.studies.attacks.reconstruction import Features, is_linear, rebuild
from edge_client.simulation.studies.attacks.settings import LeakageSettings
from edge_client.simulation.studies.attacks.updates import gradient_of
from edge_client.simulation.studies.attacks.victims import Victims, plan_leakage
from edge_client.simulation.studies.experiment_report import markdown_table, write_section
from edge_client.simulation.study import Corpora
from edge_client.words.whisper import Whisper
from shared.audio import RATE, Samples
from shared.command import progress_console
from shared.corpora import load_corpus
from shared.front_ends.paper34 import FEATURE_NAMES, HOP, WINDOW, _mel_bank
from shared.randomness import stream

_ENERGY: Final = FEATURE_NAMES.index("energy")
_MFCC: Final = slice(FEATURE_NAMES.index("mfcc_1"), FEATURE_NAMES.index("mfcc_13") + 1)

MODELS: Final[tuple[dict[str, Any], ...]] = (
    {"model": "conv"},
    {
        "model": "head",
        "front_end": "whisper-speech",
        "initial": "shared/starter/starter.safetensors",
    },
)

HEADER: Final = ["what there is", "words", "sentence"]


def sound_of(features: NDArray[np.float32], rng: np.random.Generator) -> Samples:
    """Make sound of the features of ``paper34``, not normalised: shape ``(frames, 34)``."""
    where, bank, cosines = _mel_bank()
    heights = bank.sum(axis=0)
    centres = where.start + np.arange(len(bank)) @ bank / heights
    levels = 10.0 ** np.clip(features[:, _MFCC] @ cosines.T, -12, 3) / heights
    bins = np.arange(WINDOW // 2 + 1)
    taper = np.hanning(WINDOW)
    sound = np.zeros((len(features) + 1) * HOP)
    for frame, level in enumerate(levels):
        turns = np.exp(2j * np.pi * rng.random(len(bins)))
        piece = np.fft.irfft(np.interp(bins, centres, level, 0, 0) * turns)
        energy = max(float(features[frame, _ENERGY]), 0.0)
        piece *= np.sqrt(energy / max(float(np.mean(piece**2)), 1e-30))
        sound[frame * HOP : frame * HOP + WINDOW] += taper * piece
    return np.asarray(0.9 * sound / max(float(np.abs(sound).max()), 1e-30), np.float32)


def understood(said: str, text: str) -> float:
    """Give the share of a sentence's words that are among what was understood."""
    wanted, found = (Counter(re.findall(r"[a-z]+", each.lower())) for each in (text, said))
    return (wanted & found).total() / wanted.total()


class Told:
    """Tells which sentence was said from features, having learned from others' true ones."""

    def __init__(self, victims: Victims, texts: NDArray[np.str_]) -> None:
        self._victims, self._texts = victims, texts

    def right(self, features: Features, places: Sequence[int]) -> float:
        """Give the share of utterances whose sentence is told, each by what others have said."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        speakers, hits = self._victims.speakers, []
        for group in self._victims.groups:
            of = [at for at, place in enumerate(places) if speakers[place] in group]
            if not of:
                continue
            known = np.flatnonzero(~np.isin(speakers, group))
            rows = self._victims.examples.features[known].reshape(len(known), -1)
            components = Components(rows)
            learned = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
            learned.fit(components.of(rows), self._texts[known])
            told = learned.predict(components.of(features[of].reshape(len(of), -1)))
            hits += (told == self._texts[[places[at] for at in of]]).tolist()
        return float(np.mean(hits))


def rebuilt(victims: Victims, places: Sequence[int]) -> Features:
    """Rebuild the features of utterances, each from the gradient of it alone."""
    found = []
    for place in places:
        own = victims.examples.take(np.array([place]))
        update = gradient_of(victims.engine, victims.weights, own)
        rng = stream(victims.settings.seed, "heard", place)
        architecture = victims.engine.architecture
        found.append(rebuild(architecture, victims.weights, update, own.labels, rng)[0])
    return np.array(found)


def drawn(victims: Victims, count: int) -> list[int]:
    """Draw utterances, of other speakers each as long as there are some."""
    rng = stream(victims.settings.seed, "heard")
    order = rng.permutation(len(victims.speakers)).tolist()
    turns: Counter[int] = Counter()
    ranked = []
    for place in order:
        speaker = int(victims.speakers[place])
        ranked.append((turns[speaker], place))
        turns[speaker] += 1
    return [place for _, place in sorted(ranked, key=lambda each: each[0])[:count]]


def victims_of(data: Path, values: dict[str, Any]) -> Victims:
    """Set up those who are attacked."""
    given = {"corpus": "ravdess", "data": data, **values}
    settings = plan_leakage(lambda more: LeakageSettings.parse({**given, **more}))
    utterances = Corpora(progress_console(quiet=True)).get(settings)
    return Victims(settings, utterances, Engines().get(settings)[0])


class Listening:
    """Makes sounds of features, keeps them, and counts the words that are understood.

    Parameters
    ----------
    whisper
        The recogniser.
    texts
        What is said in each utterance.
    out
        Where sounds go.
    """

    def __init__(self, whisper: Whisper, texts: NDArray[np.str_], out: Path) -> None:
        self._whisper, self._texts, self._out = whisper, texts, out
        out.mkdir(parents=True, exist_ok=True)

    def words(self, name: str, sounds: dict[int, Samples]) -> str:
        """Give the mean share of words that are understood in utterances, by their places."""
        shares = []
        for place, sound in sounds.items():
            soundfile.write(self._out / f"{place:03}-{name}.wav", sound, RATE)
            said = self._whisper.words(sound)
            shares.append(understood(said, str(self._texts[place])))
            print(f"{place:03} {name}: {said!r}", flush=True)
        return f"{np.mean(shares):.2f}"

    def of_features(
        self, victims: Victims, places: Sequence[int], found: dict[int, Features]
    ) -> Iterator[str]:
        """Give that of recordings, of their features, and of rebuilt ones of some of them.

        The level of what was rebuilt is not known: it is that of the corpus.
        """
        clips = {
            clip.identifier: clip for clip in load_corpus("ravdess", victims.settings.data).clips
        }
        names, raw = victims.utterances.clips, victims.utterances.examples
        yield self.words("recorded", {at: clips[names[at]].source.read() for at in places})
        true = {at: raw.features[at, : raw.frames[at]] for at in places}
        yield self.words("true", {at: sound_of(own, _noise(at)) for at, own in true.items()})
        used = np.concatenate([raw.features[at, : raw.frames[at]] for at in range(len(raw))])
        mean, deviation = used.mean(axis=0), used.std(axis=0)
        levelled = {at: own[: raw.frames[at]] * deviation + mean for at, own in found.items()}
        yield self.words("rebuilt", {at: sound_of(own, _noise(at)) for at, own in levelled.items()})


def _noise(place: int) -> np.random.Generator:
    return stream(0, "sound", place)


def measure(
    victims: Victims, count: int, searched: int, whisper: str, out: Path
) -> list[list[str]]:
    """Give the rows of the table of one model."""
    model = victims.settings.model
    linear = is_linear(victims.engine.architecture)
    clips = {clip.identifier: clip for clip in load_corpus("ravdess", victims.settings.data).clips}
    texts = np.array([clips[name].text for name in victims.utterances.clips])
    places = drawn(victims, count)
    sought = places if linear else places[:searched]
    found = rebuilt(victims, sought)
    told = Told(victims, texts)
    of_true = told.right(victims.examples.features[places], places)
    of_found = told.right(found, sought)
    words = ["", "", ""]
    if not linear:  # of a vector an utterance no sound can be made
        listening = Listening(Whisper(whisper), texts, out)
        pieces = dict(zip(sought, found, strict=True))
        words = list(listening.of_features(victims, places, pieces))
    recorded = [["the recordings", words[0], ""]] if words[0] else []
    return [
        *recorded,
        [f"{model}: true features of {len(places)}", words[1], f"{of_true:.2f}"],
        [f"{model}: rebuilt ones of {len(sought)}", words[2], f"{of_found:.2f}"],
    ]


def main() -> None:
    """Listen, and write what was understood."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="RAVDESS")
    parser.add_argument("--whisper", required=True, help="faster-whisper's model, or its folder")
    parser.add_argument("--count", type=int, default=24, help="utterances")
    parser.add_argument("--searched", type=int, default=24, help="of them rebuilt by search")
    parser.add_argument("--out", type=Path, default=Path("runs/heard"), help="folder for sounds")
    parser.add_argument("--write", type=Path, help="document that has a section 'heard'")
    given = parser.parse_args()
    rows = [HEADER, ["guessing", "", "0.50"]]
    for values in MODELS:
        victims = victims_of(given.data, values)
        rows += measure(victims, given.count, given.searched, given.whisper, given.out)
    print("\n".join("  ".join(row) for row in rows))
    if given.write:
        when = f"{datetime.now(UTC):%Y-%m-%d}, RAVDESS, seed 0, {given.count} utterances."
        write_section(given.write, "heard", f"{when}\n\n{markdown_table(rows)}")


if __name__ == "__main__":
    main()

"""Scores on a corpus of the aggregator's own."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aggregator.rounds.validation import Validation, validation_clips, validation_examples
from aggregator.settings import ValidationSettings
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import load_utterances
from shared.corpora import load_corpus
from shared.errors import CorpusError
from shared.features.labelled_clips import normalised_by_owner
from shared.features.prior import Prior
from shared.front_ends import FRONT_ENDS
from shared.task import DEFAULT_TASK
from shared.weights import Weights
from tests.edge_client.tiny import TINY, activations


class TinyInference:
    def use(self, weights: Weights) -> None:
        self.weights = weights

    def logits(self, features: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        assert 0 < frames <= len(features)
        logits: NDArray[np.float32] = activations(self.weights, features[None])[-1][0]
        return logits


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write clips of two speakers into folders named by emotion."""
    import soundfile

    monkeypatch.setenv("CHORUS_CACHE", str(tmp_path / "cache"))
    for number, clip in enumerate(load_corpus("synthetic", speakers=2, clips_per_speaker=4).clips):
        path = tmp_path / "clips" / str(clip.label) / clip.speaker / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip.read(), 16_000)
    return tmp_path / "clips"


@pytest.mark.parametrize("how", ["device", "none"])
def test_a_corpus_is_normalised_as_in_a_simulation(corpus: Path, how: str) -> None:
    given = {"validation_corpus": "manifest", "validation_data": corpus}
    settings = ValidationSettings.parse({**given, "validation_normalisation": how})
    clips = validation_clips(settings, DEFAULT_TASK)
    assert clips
    examples = validation_examples(clips, settings, DEFAULT_TASK)
    simulated = load_utterances(SimulationSettings(corpus="manifest", data=corpus))
    expected = normalise(simulated, np.arange(8), how, FRONT_ENDS.get("paper34"))
    np.testing.assert_array_equal(examples.features, expected.features)
    np.testing.assert_array_equal(examples.labels, expected.labels)
    weights = np.random.default_rng(1).standard_normal(TINY.parameters, np.float32)
    counts = np.array(Validation(examples, TinyInference(), DEFAULT_TASK)(weights))
    found = activations(weights, examples.features)[-1].argmax(1)
    assert counts.sum(1).tolist() == np.bincount(examples.labels, minlength=4).tolist()
    assert counts.sum(0).tolist() == np.bincount(found, minlength=4).tolist()


def test_a_corpus_is_normalised_from_where_devices_statistics_begin(corpus: Path) -> None:
    given = {"validation_corpus": "manifest", "validation_data": corpus}
    settings = ValidationSettings.parse(given)
    begun = Prior(np.full(34, 9.0), np.ones(34), 1000)
    clips = validation_clips(settings, DEFAULT_TASK)
    assert clips
    examples = validation_examples(clips, settings, DEFAULT_TASK, begun)
    simulated = load_utterances(SimulationSettings(corpus="manifest", data=corpus))
    expected = normalised_by_owner(
        simulated.examples, simulated.speakers, FRONT_ENDS.get("paper34"), begun=begun
    )
    np.testing.assert_array_equal(examples.features, expected.features)


def test_without_a_corpus_there_is_none(tmp_path: Path) -> None:
    assert validation_clips(ValidationSettings(), DEFAULT_TASK) is None
    missing = ValidationSettings(validation_corpus="ravdess", validation_data=tmp_path / "x")
    with pytest.raises(CorpusError):
        validation_clips(missing, DEFAULT_TASK)

"""Fusion: branches alone, fused by whatever a device has, and the file that a device reads."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from rich.console import Console

from edge_client.simulation import study
from edge_client.simulation.settings import FusionSettings
from edge_client.simulation.studies import modalities as beside
from edge_client.simulation.studies.folds import PlannedFold
from edge_client.simulation.studies.fusion import DENSE, Fusion, Modality, choices
from edge_client.simulation.studies.fusion_study import (
    FusionStudy,
    Known,
    execute_fusion,
    modalities_of,
    plan_fusion,
    rows_of_fusion,
)
from edge_client.simulation.utterances import Utterances
from shared.audio import RATE
from shared.corpora import Clip, load_corpus
from shared.corpora.motion import MotionFiles
from shared.corpora.synthetic_multimodal import COLUMNS
from shared.environment import remark_once
from shared.errors import CorpusError, RunError, SettingsError, WeightsError
from shared.front_ends import front_end_of
from shared.fused_model import FusedModel
from shared.metrics import confusion
from shared.model_notes.model_card import NOT_SPEECH, card_of
from shared.sentences import sentence_encoder
from shared.storage.tensor_file import TensorFile
from shared.task import DEFAULT_TASK
from shared.training import Examples, TrainingSettings
from tests.edge_client.device.pooled import NAME
from tests.shared.corpora.trees import write_motion

CLIPS = load_corpus("synthetic-multimodal").clips
LABELS = np.array([DEFAULT_TASK.index[str(clip.label)] for clip in CLIPS], np.int32)
WHERE = np.arange(len(CLIPS))


def settings(**given: Any) -> FusionSettings:
    fixed = {"corpus": "synthetic-multimodal", "folds": 4, "validation": False, "epochs": 3}
    return FusionSettings.parse({**fixed, "front_end": "whisper-speech", **given})


def utterances(some: FusionSettings) -> Utterances:
    """Make vectors in which the label shows, but not always, for the clips of the corpus."""
    shape = front_end_of(some.task.front_end).shape
    rng = np.random.default_rng(0)
    features = rng.standard_normal((len(CLIPS), 1, shape.features)).astype(np.float32)
    features[WHERE, 0, LABELS] += 3
    speakers = np.array([clip.speaker for clip in CLIPS])
    names = np.array([clip.identifier for clip in CLIPS])
    examples = Examples(features, np.ones(len(CLIPS), np.int32), LABELS)
    return Utterances(examples, speakers, (), clips=names)


def vectors(name: str, seed: int, telling: float) -> Modality:
    """Make a modality in which the label shows."""
    features = np.random.default_rng(seed).standard_normal((len(CLIPS), 1, 8)).astype(np.float32)
    features[WHERE, 0, LABELS] += telling
    examples = Examples(features, np.ones(len(CLIPS), np.int32), LABELS)
    return Modality(name, DENSE, examples, np.ones(len(CLIPS), np.bool_))


def recall(truth: NDArray[np.int32], found: NDArray[np.int64]) -> float:
    counts = confusion(truth, found, 4)
    return float((counts.diagonal() / counts.sum(axis=1)).mean())


def taught(modalities: Mapping[str, Modality], seed: int = 0, epochs: int = 15) -> Fusion:
    return Fusion.of(modalities, WHERE[:400], DEFAULT_TASK, TrainingSettings(epochs=epochs), seed)


def test_every_choice_of_modalities_comes_once_all_of_them_first() -> None:
    found = choices(("a", "b", "c"))
    assert found[0] == ("a", "b", "c")
    assert len(set(found)) == 7


def test_fusion_is_better_than_each_branch_and_works_without_any_of_them() -> None:
    modalities = {name: vectors(name, seed, 1.8) for seed, name in enumerate(("speech", "text"))}
    fusion, test = taught(modalities), WHERE[400:]
    truth = LABELS[test]
    alone = {
        name: recall(truth, branch.predict(modalities[name].examples.take(test)))
        for name, branch in fusion.branches.items()
    }
    found = fusion.predict(modalities, test, choices(("speech", "text")))
    assert recall(truth, found["speech", "text"]) > max(alone.values()) + 0.03
    for name, score in alone.items():
        assert recall(truth, found[name,]) > score - 0.05


def test_a_modality_that_tells_nothing_does_little_harm() -> None:
    modalities = {"speech": vectors("speech", 0, 2.5), "text": vectors("text", 1, 0.0)}
    fusion, test = taught(modalities), WHERE[400:]
    truth = LABELS[test]
    found = fusion.predict(modalities, test, choices(("speech", "text")))
    speech = recall(truth, found["speech",])
    assert recall(truth, found["speech", "text"]) > speech - 0.03


def test_the_same_seed_teaches_the_same() -> None:
    modalities = {"speech": vectors("speech", 0, 1.0), "text": vectors("text", 1, 1.0)}
    first, second, other = (taught(modalities, seed, epochs=2).fusing.weights for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_an_utterance_without_a_modality_has_zeros_in_its_place() -> None:
    text = vectors("text", 1, 1.0)
    there = WHERE % 2 == 0
    modalities = {"speech": vectors("speech", 0, 1.0), "text": replace(text, there=there)}
    fusion, missing = taught(modalities), WHERE[401::2]
    found = fusion.predict(modalities, missing, choices(("speech", "text")))
    np.testing.assert_array_equal(found["speech", "text"], found["speech",])


@dataclass(frozen=True)
class Made:
    """A fold that was made."""

    settings: FusionSettings
    whole: Utterances
    result: dict[str, Any]
    model: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    some, folder = settings(), tmp_path_factory.mktemp("fold")
    whole = utterances(some)
    result = FusionStudy().make(whole, PlannedFold(folder, some))
    return Made(some, whole, result, folder / "model.safetensors")


def test_a_fold_has_scores_of_each_branch_and_choice_and_a_file_for_devices(made: Made) -> None:
    result = made.result
    assert list(result["systems"]) == [
        *("speech", "text", "motion", "fused: speech + text + motion", "fused: speech + text"),
        *("fused: speech + motion", "fused: text + motion", "fused: speech", "fused: text"),
        "fused: motion",
    ]
    assert result["uar"] == result["systems"]["fused: speech + text + motion"]["uar"] > 0.5
    card = card_of(TensorFile(made.model).metadata)
    assert card is not None
    assert card.taught_by[0].corpus == "synthetic-multimodal"
    assert card.reached == {card.taught_by[0].title: {"all": pytest.approx(result["uar"])}}


def test_who_reads_a_model_that_no_speech_has_taught_is_told(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    remark_once.cache_clear()
    for _ in range(2):
        FusedModel.read(made.model)
    assert caplog.text.count(NOT_SPEECH) == 1


def test_a_device_computes_what_the_study_does(made: Made) -> None:
    some = made.settings
    model = FusedModel.read(made.model)
    assert (model.task, model.sentences) == (some.task, sentence_encoder("words").name)
    beside_speech = Known.of(made.whole, some).beside
    modalities = modalities_of(made.whole, beside_speech, np.arange(168, 672), some)
    training = TrainingSettings(epochs=some.epochs)
    fusion = Fusion.of(modalities, np.arange(168, 672), some.task, training, 0)
    speech = modalities["speech"].examples.features[:, 0]
    words = sentence_encoder("words").vectors([clip.text for clip in CLIPS])
    expected = fusion.predict(modalities, WHERE[:60], choices(("speech", "text")))
    for known in (("speech", "text"), ("speech",)):
        given = words if "text" in known else np.zeros_like(words)
        found = [
            int(np.argmax(model.probabilities(own, said)))
            for own, said in zip(speech[:60], given[:60], strict=True)
        ]
        assert found == expected[known].tolist()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        FusedModel.read(tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="is no fused model of speech and words"):
        FusedModel.read(Path("shared/encoders/tiny-en.safetensors"))


def test_folds_are_made_once_and_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = settings(epochs=1, folds=2)
    monkeypatch.setattr(study, "load_utterances", lambda _, **__: utterances(some))
    said = io.StringIO()
    found = execute_fusion(
        plan_fusion(some, tmp_path, 1), Console(file=said, width=100), overwrite=False
    )
    assert said.getvalue().count("UAR") == 2
    fused = found["systems"]["fused: speech + text + motion"]
    assert np.sum(fused["confusion"]) == len(CLIPS), "every utterance is tested on once"
    assert rows_of_fusion(found["systems"])[1][0] == "speech alone"
    assert "tell nothing" not in " ".join(found["remarks"])
    made = json.loads((tmp_path / "seed-0/fold-2/result.json").read_text())
    again = execute_fusion(
        plan_fusion(some, tmp_path, 1), Console(file=io.StringIO(), width=100), overwrite=False
    )
    assert again["systems"] == found["systems"]
    assert json.loads((tmp_path / "seed-0/fold-2/result.json").read_text()) == made


@pytest.mark.parametrize("known", ["none", "one", "4"])
def test_what_is_not_measured_is_not_asked_for(known: str) -> None:
    with pytest.raises(SettingsError, match=f"known = '{known}' is wrong"):
        settings(known=known)


def write_corpus(folder: Path, texts: str = "0123", moving: str = "0123") -> Path:
    """Write clips of four speakers, some with words and with motion; give where they are listed."""
    folder.mkdir(exist_ok=True)
    rows = ["path,label,speaker,text,motion"]
    clips = load_corpus("synthetic-multimodal", speakers=4, clips_per_speaker=8).clips
    for number, clip in enumerate(clips):
        soundfile.write(folder / f"{number}.wav", clip.read(), RATE)
        motion = write_motion(folder / f"{number}.txt", columns=3, seconds=1 + number / 10)
        speaker = str(number // 8)
        said = clip.text.replace(",", "") if speaker in texts else ""
        moved = motion.name if speaker in moving else ""
        rows.append(f"{number}.wav,{clip.label},{speaker},{said},{moved}")
    (folder / "clips.csv").write_text("\n".join(rows))
    return folder / "clips.csv"


def fuse(data: Path, out: Path, **given: Any) -> dict[str, Any]:
    fixed = {"corpus": "manifest", "data": data, "front_end": NAME, "epochs": 1, "folds": 2}
    plan = plan_fusion(settings(**fixed, **given), out, 1)
    return execute_fusion(plan, Console(quiet=True), overwrite=False)


def test_what_was_made_of_other_words_or_another_motion_is_refused(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "speech")
    found = fuse(data, tmp_path / "out")
    table = data.read_text()
    data.write_text(table.replace("I", "You"))
    with pytest.raises(RunError, match="another run: the content of its text is another"):
        fuse(data, tmp_path / "out")
    data.write_text(table)
    moved = data.with_name("3.txt")
    before = moved.read_bytes()
    moved.write_bytes(data.with_name("4.txt").read_bytes())
    with pytest.raises(RunError, match="another run: the content of its motion is another"):
        fuse(data, tmp_path / "out")
    moved.write_bytes(before)
    assert fuse(data, tmp_path / "out") == found
    for path in (tmp_path / "out").rglob("result.json"):  # as versions before wrote it
        result = json.loads(path.read_text())
        assert {*result.pop("files")} == {"text", "motion", "sentences"}
        path.write_text(json.dumps(result))
    assert fuse(data, tmp_path / "out") == found


def test_a_corpus_of_sounds_alone_is_refused(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "speech", texts="", moving="")
    with pytest.raises(CorpusError, match="has neither words nor motion beside its sound"):
        fuse(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("texts", "moving", "sentence"),
    [
        ("0123", "01", "No clip that fold 1 learns from has motion"),
        ("23", "0123", "No clip that fold 2 learns from has words"),
        ("01", "", "No clip that fold 1 learns from has words"),
    ],
)
def test_what_a_fold_cannot_learn_from_is_said_before_any_begins(
    texts: str, moving: str, sentence: str, tmp_path: Path
) -> None:
    data = write_corpus(tmp_path / "speech", texts, moving)
    with pytest.raises(CorpusError, match=sentence):
        fuse(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_some_speakers_of_each_fold_have_is_fused_in_all(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "speech", texts="02", moving="")
    found = fuse(data, tmp_path / "out")
    assert [name for name in found["systems"] if "fused" not in name] == ["speech", "text"]
    assert np.sum(found["systems"]["text"]["confusion"]) == 32


def test_a_sentence_encoder_that_is_not_there_is_said_before_anything_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match="There is no sentence encoder nowhere"):
        plan_fusion(settings(sentences="nowhere"), tmp_path, 1)


def test_words_that_are_said_in_every_label_tell_nothing() -> None:
    given = [replace(clip, text=f"Sentence {n % 7}.") for n, clip in enumerate(CLIPS)]
    assert beside.told_by_words(given) == 0
    assert beside.told_by_words(CLIPS) > 0.5


class TestMotion:
    def clips(self, *motions: Path | None) -> list[Clip]:
        return [
            replace(clip, motion=MotionFiles((path,)) if path else None)
            for clip, path in zip(CLIPS, motions, strict=False)
        ]

    def test_clips_without_the_markers_of_most_count_as_without_motion(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        whole = write_motion(tmp_path / "whole.txt", columns=6, seconds=1)
        few = write_motion(tmp_path / "few.txt", columns=3, seconds=1)
        gone = tmp_path / "gone.txt"
        found = beside.motion_of(self.clips(whole, few, whole, gone, None))
        assert found.there.tolist() == [True, False, True, False, False]
        assert found.values.shape == (5, 200, 6)
        assert "1 with 3 columns where most have 6: markers are missing" in caplog.text
        assert "as it cannot be read: Cannot read" in caplog.text

    def test_it_is_normalised_by_the_training_set_and_unseen_markers_are_zero(self) -> None:
        found = beside.motion_of(CLIPS[:50])
        assert found.values.shape[2] == COLUMNS
        found.values[3, :, 2] = np.nan
        scaled = beside.motion_normalised(found, np.arange(40))
        assert np.abs(scaled.values[:40].mean(axis=(0, 1))).max() < 0.05
        assert not scaled.values[3, :, 2].any()
        assert np.isfinite(scaled.values).all()


def test_clips_without_a_transcript_are_named(caplog: pytest.LogCaptureFixture) -> None:
    clips = [CLIPS[0], replace(CLIPS[1], text=" "), CLIPS[2]]
    found = beside.words_of(clips, sentence_encoder("words"))
    assert found.there.tolist() == [True, False, True]
    assert "1 clips without a transcript" in caplog.text

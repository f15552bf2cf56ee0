"""Words of what a device hears: kept in memory, deleted with the rest, and what they change."""

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.device.device import Device
from edge_client.device.events import DeviceEvent
from edge_client.device.fused import Fused
from edge_client.device.latest import SOUNDS
from edge_client.faces.terminal import TerminalView, line
from edge_client.words.recognising import Words, fused_of
from edge_client.words.settings import WordsSettings
from shared.audio import Samples
from shared.errors import ChorusError, SettingsError, WeightsError
from shared.fused_model import FusedModel
from shared.sentences import sentence_encoder
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.task import DEFAULT_TASK, Task, labels_of
from tests.brokers import BOUND
from tests.edge_client.device.heard import Open, hear, utterance
from tests.edge_client.device.pooled import NAME, POOLED

SAID = "The silver teapot is under the stairs."


class Fixed:
    """Recognises what it is told to."""

    def __init__(self, answer: Callable[[Samples], str] = lambda _: SAID) -> None:
        self._answer = answer

    def words(self, samples: Samples) -> str:
        return self._answer(samples)


def test_words_of_a_recording_are_there_when_it_is_heard(start: Open) -> None:
    device = start()
    with closing(Words(device, Fixed())):
        device.hear(utterance(), "wav")
        assert device.words(1) == SAID


def test_words_of_a_microphone_come_when_they_are_recognised(start: Open) -> None:
    device, come = start(), threading.Event()

    def note(event: DeviceEvent) -> None:
        if event.kind == "words":
            assert event.recognition
            assert event.recognition.identifier == 1
            come.set()

    device.subscribe(note)
    with closing(Words(device, Fixed())):
        hear(device)
        assert come.wait(BOUND)
        assert device.words(1) == SAID


def test_words_stay_in_memory_and_go_with_the_sound(start: Open, tmp_path: Path) -> None:
    device = start(keep_audio=True)
    with closing(Words(device, Fixed())):
        for seed in range(SOUNDS + 1):
            device.hear(utterance(seed, 0.5), "wav")
    assert device.words(1) is None
    assert device.words(2) == SAID
    device.discard(2)
    assert device.words(2) is None
    for path in (tmp_path / "state").rglob("*"):
        assert path.is_dir() or b"teapot" not in path.read_bytes()


def test_deleting_everything_deletes_words_and_those_still_to_come(start: Open) -> None:
    device = start()
    with closing(Words(device, None)) as words:
        device.hear(utterance(), "wav")
        generation = device.recognising.generation
        words.take(None, SAID)
        device.delete_everything()
        assert device.words(1) is None
        device.hear(utterance(1), "wav")
        assert not device.take_words(1, SAID, generation), "of what was heard before"
        assert device.words(1) is None


def test_words_of_another_utterance_are_one_sentence(start: Open) -> None:
    device = start()
    with closing(Words(device, None)) as words:
        with pytest.raises(ChorusError, match="came before anything was heard, which this device"):
            words.take(None, SAID)
        device.hear(utterance(), "wav")
        with pytest.raises(ChorusError, match="Words came of utterance 7, which this device does"):
            words.take(7, SAID)
        words.take(1, SAID)
        assert device.words(1) == SAID


def test_a_recogniser_that_fails_is_said_until_it_works_again(start: Open) -> None:
    answers = iter([None, SAID, ""])

    def answer(_: Samples) -> str:
        found = next(answers)
        if found is None:
            raise ChorusError("The recogniser gave no transcript.")
        return found

    device = start()
    with closing(Words(device, Fixed(answer))):
        device.hear(utterance(0), "wav")
        assert device.problem == "The recogniser gave no transcript."
        device.hear(utterance(1), "wav")
        assert device.problem is None
        device.hear(utterance(2), "wav")
    assert [device.words(number) for number in (1, 2, 3)] == [None, SAID, None]


def test_words_are_shown_only_where_they_were_asked_for(start: Open) -> None:
    import io

    from rich.console import Console

    device = start()
    with closing(Words(device, Fixed())):
        heard = device.hear(utterance(), "wav")
    assert heard is not None

    def shown(*, words: bool) -> str:
        file = io.StringIO()
        view = TerminalView(device, Console(file=file, width=140), words=words)
        view._console.print(view.picture())
        return file.getvalue()

    assert SAID in shown(words=True)
    assert SAID not in shown(words=False)
    assert line(heard, "a\x1b[2Jb").endswith("  “a?[2Jb”")
    assert SAID not in json.dumps([device.status(), heard.to_dict()])


TASK = Task(DEFAULT_TASK.labels, POOLED.shape)


def write_fused(
    path: Path,
    task: Task = TASK,
    sentences: str = "words 2",
    width: int = 256,
    normalisation: str = "device",
) -> Path:
    """Write a fused model with weights drawn at random, for sentences' vectors of a width."""
    rng = np.random.default_rng(0)
    features = task.front_end.features
    shapes = {
        "speech/embedding_layer": (features, 8),
        "text/embedding_layer": (width, 8),
        "fusion/embedding_layer": (16, 8),
        "fusion/logits": (8, len(task.labels)),
    }
    tensors = {}
    for name, shape in shapes.items():
        tensors[f"{name}/kernel"] = rng.normal(0, 0.5, shape).astype(np.float32)
        tensors[f"{name}/bias"] = rng.normal(0, 0.1, shape[1]).astype(np.float32)
    facts = {
        "task": task.to_dict(),
        "normalisation": normalisation,
        "branches": ["speech", "text"],
        "sentences": sentences,
    }
    write_tensors(path, tensors, {"fusion": json.dumps(facts)})
    return path


@pytest.fixture
def pooled(start: Open, tmp_path: Path) -> Device:
    """Start a device with a model on one vector an utterance."""
    from shared.architectures import architecture_of
    from shared.weights import fresh_weights, save_weights

    head = architecture_of("head", TASK)
    save_weights(tmp_path / "head.safetensors", fresh_weights(head, 0), head)
    return start(model=False, weights=tmp_path / "head.safetensors", front_end=NAME)


def test_words_change_an_answer_by_what_the_fused_model_makes_of_them(
    pooled: Device, tmp_path: Path
) -> None:
    fused = Fused.read(write_fused(tmp_path / "fused.safetensors"), "words", pooled.task, "device")
    for seed in range(3):
        hear(pooled, seed)
    told: list[DeviceEvent] = []
    pooled.subscribe(told.append)
    with closing(Words(pooled, Fixed(), fused)):
        heard = pooled.hear(utterance(3), "wav")
    assert heard is not None
    assert heard.probabilities
    features = pooled.recognising.normalising().normalise(  # type: ignore[union-attr] # device statistics
        POOLED.compute(utterance(3).samples), 1
    )[0]
    vector = sentence_encoder("words").vectors([SAID])[0]
    model = FusedModel.read(tmp_path / "fused.safetensors")
    ratio = np.array(model.probabilities(features, vector)) / np.array(
        model.probabilities(features, np.zeros_like(vector))
    )
    expected = np.array(heard.probabilities) * ratio
    (last,) = [event.recognition for event in told if event.kind == "words"]
    assert last is not None
    assert last.probabilities == pytest.approx(tuple(expected / expected.sum()))
    assert pooled.recent(1)[0].probabilities == last.probabilities
    assert last.probabilities != pytest.approx(heard.probabilities, abs=0.01)


def test_words_that_come_twice_count_once(pooled: Device, tmp_path: Path) -> None:
    fused = Fused.read(write_fused(tmp_path / "fused.safetensors"), "words", pooled.task, "device")
    hear(pooled)
    generation = pooled.recognising.generation
    said = []
    for words in ("It is late.", SAID, SAID, "It is late."):
        assert pooled.take_words(1, words, generation, fused)
        said.append(pooled.recent(1)[0].probabilities)
    assert said[1] == said[2]
    assert said[0] == said[3] != said[1]


class Elsewhere:
    """Makes vectors of sentences, and does something in another thread meanwhile."""

    name, width = "words 2", 256

    def __init__(self, do: Callable[[], object]) -> None:
        self._do = do
        self.done = False

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        meanwhile = threading.Thread(target=self._do, daemon=True)
        meanwhile.start()
        meanwhile.join(BOUND)
        self.done = not meanwhile.is_alive()
        return sentence_encoder("words").vectors(texts)


def test_the_device_hears_while_a_sentence_becomes_a_vector(pooled: Device, tmp_path: Path) -> None:
    model = FusedModel.read(write_fused(tmp_path / "fused.safetensors"))
    hear(pooled)
    encoder = Elsewhere(lambda: hear(pooled, 1))
    assert pooled.take_words(1, SAID, 0, Fused(model, encoder))
    assert encoder.done
    assert pooled.words(1) == SAID


def test_words_of_what_is_deleted_while_they_become_a_vector_change_nothing(
    pooled: Device, tmp_path: Path
) -> None:
    model = FusedModel.read(write_fused(tmp_path / "fused.safetensors"))
    hear(pooled)
    gone = Elsewhere(lambda: pooled.discard(1))
    assert not pooled.take_words(1, SAID, 0, Fused(model, gone))
    assert pooled.words(1) is None


def _changed(path: Path, **arrays: NDArray[Any]) -> Path:
    """Write a fused model, with other tensors in place of some of its own."""
    file = TensorFile(write_fused(path))
    tensors = {name: file.read(name) for name in file.tensors}
    write_tensors(path, tensors | arrays, file.metadata)
    return path


@pytest.mark.parametrize(
    "arrays",
    [
        {"text/embedding_layer/bias": np.zeros((1, 8), np.float32)},
        {"speech/embedding_layer/bias": np.zeros((), np.float32)},
        {"fusion/logits/bias": np.zeros((4, 1), np.float32)},
        {"fusion/logits/kernel": np.full((8, 4), np.nan, np.float32)},
        {"text/embedding_layer/kernel": np.zeros((0, 8), np.float32)},
    ],
    ids=lambda arrays: next(iter(arrays)),
)
def test_a_fused_model_whose_parts_do_not_fit_is_refused(
    arrays: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="is no fused model of speech and words"):
        FusedModel.read(_changed(tmp_path / "fused.safetensors", **arrays))


def test_a_fused_model_without_speech_is_refused(tmp_path: Path) -> None:
    file = TensorFile(write_fused(tmp_path / "fused.safetensors"))
    facts = json.loads(file.metadata["fusion"]) | {"branches": ["text"]}
    tensors = {name: file.read(name) for name in file.tensors}
    write_tensors(tmp_path / "fused.safetensors", tensors, {"fusion": json.dumps(facts)})
    with pytest.raises(WeightsError, match="is no fused model of speech and words"):
        FusedModel.read(tmp_path / "fused.safetensors")


def test_a_fused_model_of_the_largest_values_still_gives_probabilities(tmp_path: Path) -> None:
    file = TensorFile(write_fused(tmp_path / "whole.safetensors"))
    largest = {
        name: np.full_like(file.read(name), np.finfo(np.float32).max) for name in file.tensors
    }
    model = FusedModel.read(_changed(tmp_path / "fused.safetensors", **largest))
    ones = np.ones(model.text_width, np.float32)
    assert sum(model.probabilities(np.ones(6, np.float32), ones)) == pytest.approx(1.0)


def fused_on(device: Device, path: Path, normalisation: str) -> Fused | None:
    write_fused(path, normalisation=normalisation)
    return fused_of(WordsSettings(words="tiny.en", fusion=path), device)


@pytest.mark.parametrize("trained", ["none", "corpus"])
def test_a_fused_model_of_features_that_lie_elsewhere_is_refused(
    trained: str, pooled: Device, tmp_path: Path
) -> None:
    sentence = f"was trained with normalisation {trained}, this device has device"
    with pytest.raises(SettingsError, match=sentence) as error:
        fused_on(pooled, tmp_path / "fused.safetensors", trained)
    assert "--normalisation device" in error.value.remedy


def test_a_fused_model_of_a_near_normalisation_is_used_with_a_remark(
    pooled: Device, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert fused_on(pooled, tmp_path / "same.safetensors", "device")
    assert "normalisation" not in caplog.text
    assert fused_on(pooled, tmp_path / "near.safetensors", "voice")
    assert "was trained with normalisation voice, this device has device" in caplog.text


def test_a_fused_model_of_no_such_normalisation_is_refused(tmp_path: Path) -> None:
    path = write_fused(tmp_path / "fused.safetensors", normalisation="other")
    with pytest.raises(WeightsError, match="is no fused model of speech and words"):
        FusedModel.read(path)


def test_a_fused_model_of_before_counts_words_as_it_was_taught(tmp_path: Path) -> None:
    path = tmp_path / "fused.safetensors"
    before = Fused.read(write_fused(path, sentences="words 1"), "words", TASK, "device").encoder
    now = Fused.read(write_fused(path), "words", TASK, "device").encoder
    assert (before.name, now.name) == ("words 1", "words 2")
    np.testing.assert_array_equal(before.vectors([SAID]), now.vectors([SAID]))
    apart = before.vectors(["नमस त"])
    np.testing.assert_array_equal(before.vectors(["नमस्ते"]), apart, "apart at the marks, as then")
    assert (now.vectors(["नमस्ते"]) != apart).any()


def test_a_fused_model_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fused.safetensors"
    with pytest.raises(WeightsError, match="recognises"):
        Fused.read(
            write_fused(path, Task(labels_of(("a", "b")), POOLED.shape)), "words", TASK, "device"
        )
    with pytest.raises(SettingsError, match="was trained with another encoder of sentences than"):
        Fused.read(write_fused(path, sentences="onnx 123"), "words", TASK, "device")
    with pytest.raises(WeightsError, match="a device cannot use it"):
        Fused.read(write_fused(path, DEFAULT_TASK), "words", DEFAULT_TASK, "device")

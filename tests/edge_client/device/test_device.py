"""The device: what it hears is recognised, kept, and learned from what its person says."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.commands.overview import overview
from edge_client.device import personalising
from edge_client.device.device import Device, DeviceEvent
from edge_client.device.latest import SOUNDS
from edge_client.device.personalising import Learning
from edge_client.device.settings import DeviceSettings
from edge_client.device.store import ExampleStore
from edge_client.device.stored_utterance import StoredUtterance
from edge_client.learning.personal_model import PersonalModel
from shared.architectures import architecture_of
from shared.errors import ChorusError, RunError, StorageError, WeightsError
from shared.features import pad
from shared.front_ends import FRONT_ENDS
from shared.front_ends.paper34 import frame_features
from shared.inference import Inference
from shared.normalisation import RunningStatistics
from shared.task import DEFAULT_TASK, PAPER34, FrontEndShape, Task
from shared.tensor_file import write_tensors
from shared.training import Examples
from shared.weights import (
    Weights,
    digest,
    initial_weights,
    load_weights,
    save_weights,
    split,
)
from tests.brokers import BOUND, wait_until
from tests.edge_client.device.heard import NOON, frames, recognised, utterance

CONV = architecture_of("conv", DEFAULT_TASK)

UNDECIDED = PersonalModel(np.zeros((1, 34)), np.zeros(1), np.zeros((1, 1, 4)), np.ones(1))
"""A personal model that knows nothing."""

Open = Callable[..., Device]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return initial_weights(CONV, np.random.default_rng(0))


@pytest.fixture
def start(tmp_path: Path, weights: Weights) -> Iterator[Open]:
    """Start a device in the same state folder each time, with a model."""
    path = tmp_path / "first.safetensors"
    save_weights(path, weights, CONV)
    opened: list[Device] = []

    def start(*, model: bool = True, **settings: Any) -> Device:
        settings = {"state": tmp_path / "state", "weights": path if model else None, **settings}
        device = Device(DeviceSettings(**settings), clock=lambda: NOON)
        opened.append(device)
        return device

    yield start
    for device in opened:
        device.close()


def heard(device: Device, seed: int = 0, seconds: float = 2.0) -> StoredUtterance:
    recognition = device.hear(utterance(seed, seconds))
    assert recognition is not None
    return recognition


def expected(weights: Weights, seeds: list[int]) -> tuple[float, ...]:
    """Recognise the last of some utterances by the parts themselves."""
    statistics = RunningStatistics(FRONT_ENDS.get("paper34"))
    for seed in seeds:
        own = frame_features(utterance(seed).samples)
        statistics.update(own)
    features = statistics.normalise(pad(own, PAPER34), len(own))
    logits = Inference(CONV, weights).logits(features, len(own))
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return tuple((powers / powers.sum()).tolist())


def test_statistics_and_model_outlive_a_restart(start: Open, weights: Weights) -> None:
    device = start()
    assert heard(device, 1).probabilities == expected(weights, [1])
    heard(device, 2)
    device.close()
    again = start(model=False)
    recognition = heard(again, 3)
    assert recognition.probabilities == expected(weights, [1, 2, 3])
    assert (recognition.identifier, recognition.heard_at, recognition.seconds) == (3, NOON, 2.0)
    assert again.status()["model"]["digest"] == digest(weights, CONV)


def test_lost_statistics_are_computed_anew_from_what_is_kept(
    start: Open, weights: Weights, tmp_path: Path
) -> None:
    device = start()
    heard(device, 1)
    heard(device, 2)
    device.close()
    with ExampleStore(tmp_path / "state" / "examples.sqlite", limit_mb=10) as store:
        store._database.connection.execute("UPDATE facts SET value = '{\"count\": -1}'")
    assert heard(start(), 3).probabilities == pytest.approx(expected(weights, [1, 2, 3]), abs=1e-5)


def test_without_a_model_everything_is_kept(start: Open, weights: Weights, tmp_path: Path) -> None:
    device = start(model=False)
    assert device.status()["model"] is None
    first = heard(device)
    assert first.probabilities is None
    with pytest.raises(ChorusError, match="before there was a model"):
        device.confirm(first.identifier)
    assert device.correct(first.identifier, "sad").label == "sad"
    with pytest.raises(WeightsError, match="digest"):
        device.use_weights(weights, "0" * 64)
    assert device.recognising.digest is None
    device.say("model", "There is no model yet.")
    device.use_weights(weights, digest(weights, CONV))
    assert heard(device, 1).probabilities is not None
    assert device.confirm(2).label == device.recent()[0].predicted
    assert device.problem is None
    assert np.array_equal(load_weights(tmp_path / "state" / "model.safetensors", CONV), weights)


def test_a_model_has_one_name_that_of_its_file(
    start: Open, weights: Weights, tmp_path: Path
) -> None:
    given = tmp_path / "given.safetensors"
    # As another version writes it: with another header, so with another digest.
    write_tensors(given, split(-weights, CONV), {"architecture": "conv", "by": "another"})
    named = hashlib.sha256(given.read_bytes()).hexdigest()
    device = start()
    with pytest.raises(WeightsError, match="digest"):
        device.use_model(given, "0" * 64, CONV)
    with pytest.raises(WeightsError, match="There is no model"):
        device.use_model(tmp_path / "none", named, CONV)
    assert device.status()["model"]["digest"] == digest(weights, CONV), "what cannot be used is not"
    device.use_model(given, named, CONV)
    assert device.status()["model"]["digest"] == named
    device.close()
    found = overview(DeviceSettings(state=tmp_path / "state"))["model"]
    assert found == {"digest": named, "bytes": given.stat().st_size}
    again = start(model=False)
    assert again.status()["model"]["digest"] == named
    assert heard(again, 1).probabilities == expected(-weights, [1])


def test_a_model_that_cannot_be_used_takes_no_remark_away(start: Open, weights: Weights) -> None:
    device = start(model=False)
    device.say("model", "There is no model yet.")
    with pytest.raises(WeightsError):
        device.use_weights(weights, "0" * 64)
    assert device.problem == "There is no model yet."


def test_a_personal_model_recognises_until_another_global_one_comes(
    start: Open, weights: Weights
) -> None:
    device = start()
    use_personal, named = device.recognising.use_personal, digest(weights, CONV)
    with_global = heard(device).probabilities
    assert not use_personal(UNDECIDED, digest(weights + 1, CONV), 0)
    assert not use_personal(UNDECIDED, named, 1)
    assert device.status()["training"] is None
    assert use_personal(UNDECIDED, named, 0)
    assert device.status()["model"]["personal"]
    assert device.status()["training"] == {"examples": 1}
    assert heard(device).probabilities == pytest.approx((0.25,) * 4)
    assert use_personal(None, named, 0)
    assert heard(device).probabilities == pytest.approx(with_global, abs=1e-6)
    assert use_personal(UNDECIDED, named, 0)
    device.use_weights(weights, named)
    assert not device.status()["model"]["personal"]


def test_the_device_learns_from_each_correction(start: Open, weights: Weights) -> None:
    device = start()
    learner = Learning(device)
    first = heard(device)
    device.correct(first.identifier, "sad")
    wait_until(lambda: device.status()["model"]["personal"], "it has learned")
    again = heard(device)
    assert again.probabilities is not None
    assert first.probabilities is not None
    assert again.probabilities[3] > first.probabilities[3]
    device.use_weights(-weights, digest(-weights, CONV))  # another model: it learns anew
    wait_until(lambda: device.status()["model"]["personal"], "it has learned with the new model")
    device.delete_everything()
    assert not device.status()["model"]["personal"]
    assert device.status()["training"] is None
    learner.close()


def test_without_a_label_nothing_is_said_to_be_learned(start: Open) -> None:
    device = start()
    heard(device)
    learner = Learning(device)
    wait_until(lambda: learner._digest, "it has looked")
    learner.close()
    assert device.status()["training"] is None


def test_labels_discards_and_undo_tell_who_looks_on(start: Open) -> None:
    device = start()
    events: list[DeviceEvent] = []
    end = device.subscribe(events.append)
    number = heard(device).identifier
    assert device.correct(number, "happy").label == "happy"
    assert device.sound(number) is not None
    assert device.discard(number).discarded
    assert device.sound(number) is None
    assert device.recent() == []
    assert not device.undo().discarded  # type: ignore[union-attr] # there is something to undo
    assert device.undo().label is None  # type: ignore[union-attr] # as above
    assert device.undo() is None
    assert [event.kind for event in events] == ["heard", *["changed"] * 4]
    assert device.counts()["unlabelled"] == 1
    end()
    device.pause()
    assert len(events) == 5


def test_what_was_discarded_is_gone_at_the_end(start: Open) -> None:
    device = start()
    heard(device)
    device.discard(1)
    device.close()
    assert sum(start().counts().values()) == 0


def test_one_that_looks_on_and_fails_ends_nothing(start: Open) -> None:
    device = start()

    def fail(event: DeviceEvent) -> None:
        raise RuntimeError(event.kind)

    device.subscribe(fail)
    assert heard(device).identifier == 1


def test_a_paused_device_hears_nothing(start: Open) -> None:
    device = start()
    device.pause()
    assert device.hear(utterance()) is None
    assert device.status()["state"] == "paused"
    assert not device.wait_while_paused(0)
    device.resume()
    assert heard(device).identifier == 1


def test_a_sound_too_short_for_a_frame_is_nothing(start: Open) -> None:
    assert start().hear(utterance(seconds=0.1)) is None


def test_silence_is_recognised_without_harm(start: Open) -> None:
    device = start()
    silent = utterance()
    silent.samples[:] = 0
    recognition = device.hear(silent)
    assert recognition is not None
    assert np.isfinite(recognition.probabilities or (np.nan,)).all()


def test_examples_are_normalised_as_for_recognition(start: Open) -> None:
    device = start()
    for seed in range(4):
        heard(device, seed)
    device.correct(2, "sad")
    device.correct(3, "angry")
    device.discard(3)
    examples = device.examples()
    examples.check(DEFAULT_TASK)
    statistics = RunningStatistics(FRONT_ENDS.get("paper34"))
    for seed in range(4):
        statistics.update(frame_features(utterance(seed).samples))
    own = frame_features(utterance(1).samples)
    assert np.array_equal(examples.features[0], statistics.normalise(pad(own, PAPER34), len(own)))
    assert (examples.frames.tolist(), examples.labels.tolist()) == ([len(own)], [3])


def test_guesses_are_trained_on_only_if_asked_for(start: Open, weights: Weights) -> None:
    sure = weights.copy()
    sure[-len(DEFAULT_TASK.labels) :] = 9 * np.array([0, 1, 0, 0])
    device = start()
    device.use_weights(sure, digest(sure, CONV))
    heard(device, 1)
    heard(device, 2)
    device.correct(2, "sad")
    assert device.examples().labels.tolist() == [3]
    device.close()
    asked = start(model=False, keep_unlabelled=True)
    heard(asked, 3)
    examples = asked.examples()
    assert examples.labels.tolist() == [1, 3]
    assert examples.keys is not None
    assert examples.keys.tolist() == [-3, 2], "as many guesses as labels, the newest; labels last"
    assert asked.count_examples() == 2
    assert asked.labelled(9).labels.tolist() == [3]
    assert asked.counts()["happy"] == 0, "a guess is not a label"


def test_only_the_last_sounds_stay_in_memory(start: Open) -> None:
    device = start()
    for seed in range(SOUNDS + 3):
        heard(device, seed, 0.5)
    assert device.sound(3) is None
    sound = device.sound(4)
    assert sound is not None
    assert np.array_equal(sound, utterance(3, 0.5).samples)


def test_deleting_everything_begins_anew(start: Open, weights: Weights, tmp_path: Path) -> None:
    device = start(keep_audio=True)
    heard(device, 1)
    (tmp_path / "state" / "personal" / "token").write_bytes(b"personal")
    device.delete_everything()
    assert sum(device.counts().values()) == 0
    assert device.sound(1) is None
    left = {file.name for file in (tmp_path / "state").rglob("*") if file.is_file()}
    assert {name.split("-")[0] for name in left} == {"lock", "examples.sqlite", "model.safetensors"}
    personal = tmp_path / "state" / "personal"
    assert list(personal.iterdir()) == []
    assert personal.stat().st_mode & 0o777 == 0o700
    assert heard(device, 2).probabilities == expected(weights, [2])


def test_deleting_is_one_operation_that_others_can_follow(start: Open, tmp_path: Path) -> None:
    device = start()
    heard(device)
    token = tmp_path / "state" / "personal" / "token"
    token.touch()
    told: list[tuple[str, bool, int]] = []

    def note(event: DeviceEvent) -> None:
        # In a thread of its own: this would wait for ever if the device held its lock.
        looking = threading.Thread(target=device.status, daemon=True)
        looking.start()
        looking.join(BOUND)
        assert not looking.is_alive()
        told.append((event.kind, token.exists(), len(device.recent())))

    device.subscribe(note)
    device.delete_everything()
    gone = (False, 0)
    assert told == [("deleting", True, 1), ("deleted", *gone), ("status", *gone)]


def test_what_cannot_be_deleted_keeps_nothing_else(
    start: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = start()
    kinds: list[str] = []
    device.subscribe(lambda event: kinds.append(event.kind))

    def fail() -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(device._store, "delete_all", fail)
    with pytest.raises(StorageError, match="disk is full"):
        device.delete_everything()
    assert list((tmp_path / "state" / "personal").iterdir()) == []
    assert kinds == ["deleting", "deleted", "status"]


def test_a_fit_under_way_is_not_used_after_a_deletion(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting, deleted = threading.Event(), threading.Event()
    fitted: list[PersonalModel] = []

    class Slow:
        @staticmethod
        def fit(examples: Examples, logits: NDArray[np.float32]) -> PersonalModel:
            fitting.set()
            assert deleted.wait(BOUND)
            fitted.append(PersonalModel.fit(examples, logits))
            return fitted[-1]

    monkeypatch.setattr(personalising, "PersonalModel", Slow)
    device = start()
    device.correct(heard(device).identifier, "sad")
    learner = Learning(device)
    assert fitting.wait(BOUND)
    device.delete_everything()
    deleted.set()
    learner.close()
    assert fitted
    assert not device.status()["model"]["personal"]
    assert device.status()["training"] is None


def test_what_another_process_changes_is_noticed(start: Open, tmp_path: Path) -> None:
    device = start()
    kinds: list[str] = []
    device.correct(heard(device).identifier, "sad")
    device.subscribe(lambda event: kinds.append(event.kind))
    device.look()
    assert kinds == []
    with ExampleStore(tmp_path / "state" / "examples.sqlite", limit_mb=10) as store:
        store.label(store.add(recognised(), frames(1)), "happy")
    device.look()
    device.look()
    assert kinds == ["changed"]
    assert device.count_examples() == 2


def test_sound_of_an_earlier_run_goes_with_what_is_discarded_now(
    start: Open, tmp_path: Path
) -> None:
    device = start(keep_audio=True)
    heard(device)
    device.close()
    again = start()
    heard(again, 2)
    sounds = tmp_path / "state" / "personal" / "sounds"
    assert [file.name for file in sounds.iterdir()] == ["1.flac"]
    again.discard(1)
    assert list(sounds.iterdir()) == []


def test_what_parts_say_is_one_text_and_a_line_of_the_log(
    start: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edge_client")
    device = start()
    for _ in range(2):
        device.say("ears", "The microphone is gone.")
    device.report("round", {"state": "away", "remark": "The broker is away."})
    assert device.problem == "The microphone is gone.\nThe broker is away."
    assert [record.message for record in caplog.records] == ["The microphone is gone."]
    device.say("ears", None)
    device.report("round", {"state": "waiting", "remark": ""})
    assert device.problem is None


def test_a_full_disk_keeps_it_recognising(start: Open) -> None:
    device = start()
    heard(device)
    connection = device._store._database.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    found = [heard(device, seed, 10) for seed in range(4)]
    assert found[-1].identifier < 0
    assert found[-1].probabilities is not None
    assert device.recent()[:2] == found[:-3:-1], "what could not be kept is shown all the same"
    assert "disk is full" in device.status()["problem"]
    with pytest.raises(ChorusError, match="could not be kept"):
        device.confirm(found[-1].identifier)
    connection.execute("PRAGMA max_page_count = 100000")
    after = heard(device)
    assert after.identifier > 0
    assert device.status()["problem"] is None
    assert device.recent(3) == [after, *found[:-3:-1]]
    device.delete_everything()
    assert device.recent() == []


EIGHT = "angry,happy,neutral,sad,fearful,disgusted,surprised,calm"


def test_a_device_with_other_labels_waits_for_a_model_of_them(
    start: Open, weights: Weights
) -> None:
    start().close()  # it keeps a model of four
    with pytest.raises(WeightsError, match="of another task: it recognises angry, happy"):
        start(labels=EIGHT)
    device = start(model=False, labels=EIGHT)
    assert device.recognising.digest is None
    assert device.problem is not None
    assert "is of another task: it recognises angry, happy, neutral, sad instead" in device.problem
    assert "This device waits for one of its own task." in device.problem
    with pytest.raises(WeightsError, match="The new model is of another task"):
        device.use_weights(weights, digest(weights, CONV), CONV)
    assert device.recognising.digest is None
    found = heard(device)
    assert device.correct(found.identifier, "calm").label == "calm"
    assert device.examples().labels.tolist() == [7]
    with pytest.raises(ChorusError, match="There is no label bored here"):
        device.correct(found.identifier, "bored")


def test_a_device_recognises_eight_labels(start: Open) -> None:
    device = start(model=False, labels=EIGHT)
    eight = architecture_of("conv", device.task)
    own = initial_weights(eight, np.random.default_rng(1))
    device.use_weights(own, digest(own, eight))
    assert device.problem is None
    found = heard(device)
    assert len(found.probabilities or ()) == 8
    assert found.predicted in device.task.names
    device.close()
    assert start(model=False, labels=EIGHT).status()["model"]["digest"] == digest(own, eight)


def test_what_another_task_has_left_is_kept_said_and_not_learned_from(
    start: Open, tmp_path: Path
) -> None:
    device = start(labels=EIGHT, model=False)
    for seed, label in enumerate(("calm", "sad", "calm")):
        device.correct(heard(device, seed).identifier, label)
    device.close()
    path = tmp_path / "state" / "examples.sqlite"
    old = Task(DEFAULT_TASK.labels, FrontEndShape("loudness", 3, 10, 2))
    with ExampleStore(path, limit_mb=10, task=old) as store:
        number = store.add(recognised(task=old), frames(1)[:, :2], statistics={"count": 30})
        store.label(number, "sad")
    device = start()
    assert device.problem == (
        "The store holds examples of another task, kept but not learned from: 2 labelled calm, "
        "1 of loudness 3."
    )
    assert device.count_examples() == 1
    assert device.examples().labels.tolist() == [3]
    assert device.recognising.statistics()["count"] > 30, "those of its own front end"
    assert [known.front_end for known in device.recent()][:2] == ["loudness 3", "paper34 1"]
    with ExampleStore(path, limit_mb=10) as store:
        assert store.task == DEFAULT_TASK, "what the device has used it for last"
    with ExampleStore(path, limit_mb=10, task=old) as store:
        assert store.statistics() == {"count": 30}
        assert store.labelled(9) == [4]
        ((_, own),) = store.read([1, 2, 3, 4])
        assert np.array_equal(own, frames(1)[:10, :2])
    device.delete_everything()
    assert device.problem is None
    device.close()
    with ExampleStore(path, limit_mb=10, task=old) as store:
        assert (store.statistics(), store.recent(9)) == (None, [])


def test_two_devices_cannot_share_a_state_folder(start: Open) -> None:
    start()
    with pytest.raises(RunError, match="Another edge-client is running"):
        start()


def test_a_damaged_store_is_said_and_kept(start: Open, tmp_path: Path) -> None:
    path = tmp_path / "state" / "examples.sqlite"
    device = start()
    for seed in range(30):
        device.correct(heard(device, seed).identifier, "sad")
    device.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b"\xa5" * (len(data) - len(data) // 2)
    path.write_bytes(data)
    again = start()
    problem = again.status()["problem"]
    assert "damaged" in problem
    assert next(path.parent.glob("*damaged*")).read_bytes() == data
    assert 5 <= again.counts()["sad"] < 30
    heard(again)
    assert again.problem == problem, "it is not forgotten with the next utterance"


def test_threads_may_do_everything_at_once(start: Open) -> None:
    device = start()
    failed: list[BaseException] = []

    def work(act: Callable[[int], object]) -> None:
        try:
            for step in range(8):
                act(step)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failed.append(error)

    heard(device, 99)
    acts: list[Callable[[int], object]] = [
        lambda step: heard(device, step, 0.5),
        lambda step: device.correct(1, DEFAULT_TASK.names[step % 4]),
        lambda step: (device.undo(), device.status(), device.recent(), step),
        lambda step: (device.examples(), device.labelled(3), device.sound(step)),
    ]
    threads = [threading.Thread(target=work, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert sum(device.counts().values()) == 9


def test_a_device_of_mfcc40_keeps_and_normalises_utterances_as_long_as_they_are(
    start: Open,
) -> None:
    mfcc40 = FRONT_ENDS.get("mfcc40")
    device = start(model=False, front_end="mfcc40")
    statistics = RunningStatistics(mfcc40)
    for seed, seconds in ((0, 2.0), (1, 0.5), (2, 3.1)):
        known = heard(device, seed, seconds)
        assert (known.front_end, known.probabilities) == ("mfcc40 1", None)
        device.correct(known.identifier, "sad")
        statistics.update(mfcc40.compute(utterance(seed, seconds).samples))
    examples = device.examples()
    assert examples.features.shape == (3, 350, 40)
    assert examples.frames.tolist() == [201, 51, 311]
    examples.check(Task(DEFAULT_TASK.labels, mfcc40.shape))
    own = pad(mfcc40.compute(utterance(1, 0.5).samples), mfcc40.shape)
    np.testing.assert_array_equal(examples.features[1, :100], statistics.normalise(own, 51))
    device.close()
    again = start(model=False)
    assert again.count_examples() == 0
    assert "3 of mfcc40 1" in (again.problem or "")

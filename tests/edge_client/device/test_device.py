"""The device: what it hears is recognised, kept, and learned from what its person says."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_client.commands.overview import overview
from edge_client.device.device import DeviceEvent
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from shared.errors import ChorusError, RunError, WeightsError
from shared.features.normalisation import RunningStatistics
from shared.frames import pad
from shared.front_ends import FRONT_ENDS
from shared.front_ends.paper34 import frame_features
from shared.storage.tensor_file import write_tensors
from shared.task import DEFAULT_TASK, PAPER34
from shared.web.access import kept_token
from shared.weights import (
    Weights,
    digest,
    load_weights,
    split,
)
from tests.edge_client.device.heard import (
    CONV,
    NOON,
    Open,
    expected,
    frames,
    hear,
    recognised,
    use_weights,
    utterance,
)


def test_statistics_and_model_outlive_a_restart(start: Open, weights: Weights) -> None:
    device = start()
    assert hear(device, 1).probabilities == expected(weights, [1])
    hear(device, 2)
    device.close()
    again = start(model=False)
    recognition = hear(again, 3)
    assert recognition.probabilities == expected(weights, [1, 2, 3])
    assert (recognition.identifier, recognition.heard_at, recognition.seconds) == (3, NOON, 2.0)
    assert again.status()["model"]["digest"] == digest(weights, CONV)


def test_lost_statistics_are_computed_anew_from_what_is_kept(
    start: Open, weights: Weights, tmp_path: Path
) -> None:
    device = start()
    hear(device, 1)
    hear(device, 2)
    device.close()
    with ExampleStore(tmp_path / "state" / "examples.sqlite", limit_mb=10) as store:
        store._database.connection.execute("UPDATE facts SET value = '{\"count\": -1}'")
    device = start()
    assert "is worked out anew from the 2 utterances that are kept" in (device.problem or "")
    assert hear(device, 3).probabilities == pytest.approx(expected(weights, [1, 2, 3]), abs=1e-5)


def test_without_a_model_everything_is_kept(start: Open, weights: Weights, tmp_path: Path) -> None:
    device = start(model=False)
    assert device.status()["model"] is None
    first = hear(device)
    assert first.probabilities is None
    assert device.correct(first.identifier, "sad").label == "sad"
    with pytest.raises(WeightsError, match="digest"):
        use_weights(device, weights, "0" * 64)
    assert device.recognising.digest is None
    device.say("model", "There is no model yet.")
    use_weights(device, weights, digest(weights, CONV))
    assert hear(device, 1).probabilities is not None
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
    assert hear(again, 1).probabilities == expected(-weights, [1])


def test_a_model_that_cannot_be_used_takes_no_remark_away(start: Open, weights: Weights) -> None:
    device = start(model=False)
    device.say("model", "There is no model yet.")
    with pytest.raises(WeightsError):
        use_weights(device, weights, "0" * 64)
    assert device.problem == "There is no model yet."


def test_labels_discards_and_undo_tell_who_looks_on(start: Open) -> None:
    device = start()
    events: list[DeviceEvent] = []
    end = device.subscribe(events.append)
    number = hear(device).identifier
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


def test_one_that_looks_on_and_fails_ends_nothing(start: Open) -> None:
    device = start()

    def fail(event: DeviceEvent) -> None:
        raise RuntimeError(event.kind)

    device.subscribe(fail)
    assert hear(device).identifier == 1


def test_a_paused_device_hears_nothing(start: Open) -> None:
    device = start()
    device.pause()
    assert device.hear(utterance()) is None
    assert device.status()["state"] == "paused"
    assert not device.wait_while_paused(0)
    device.resume()
    assert hear(device).identifier == 1


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
        hear(device, seed)
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
    use_weights(device, sure, digest(sure, CONV))
    hear(device, 1)
    hear(device, 2)
    device.correct(2, "sad")
    assert device.examples().labels.tolist() == [3]
    device.close()
    asked = start(model=False, keep_unlabelled=True)
    hear(asked, 3)
    examples = asked.examples()
    assert examples.labels.tolist() == [1, 3]
    assert examples.keys is not None
    assert examples.keys.tolist() == [-3, 2], "as many guesses as labels, the newest; labels last"
    assert len(asked.example_keys()) == 2
    assert asked.labelled(9)[0].labels.tolist() == [3]
    assert asked.counts()["happy"] == 0, "a guess is not a label"


def test_what_another_process_changes_is_noticed(start: Open, tmp_path: Path) -> None:
    device = start()
    kinds: list[str] = []
    device.correct(hear(device).identifier, "sad")
    device.subscribe(lambda event: kinds.append(event.kind))
    device.look()
    assert kinds == []
    with ExampleStore(tmp_path / "state" / "examples.sqlite", limit_mb=10) as store:
        store.label(store.add(recognised(), frames(1)), "happy")
    device.look()
    device.look()
    assert kinds == ["changed"]
    assert len(device.example_keys()) == 2


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
    hear(device)
    connection = device._store._database.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    found = [hear(device, seed, 10) for seed in range(4)]
    assert found[-1].identifier < 0
    assert found[-1].probabilities is not None
    assert device.recent()[:2] == found[:-3:-1], "what could not be kept is shown all the same"
    assert "disk is full" in device.status()["problem"]
    with pytest.raises(ChorusError, match="could not be kept"):
        device.correct(found[-1].identifier, "sad")
    connection.execute("PRAGMA max_page_count = 100000")
    after = hear(device)
    assert after.identifier > 0
    assert device.status()["problem"] is None
    assert device.recent(3) == [after, *found[:-3:-1]]
    device.delete_everything()
    assert device.recent() == []


def test_two_devices_cannot_share_a_state_folder(start: Open) -> None:
    start()
    with pytest.raises(RunError, match="Another edge-client is running"):
        start()


def test_a_damaged_store_is_said_and_kept(start: Open, tmp_path: Path) -> None:
    path = tmp_path / "state" / "examples.sqlite"
    device = start()
    for seed in range(30):
        device.correct(hear(device, seed).identifier, "sad")
    device.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = b"\xa5" * (len(data) - len(data) // 2)
    path.write_bytes(data)
    again = start()
    problem = again.status()["problem"]
    assert "damaged" in problem
    assert next(path.parent.glob("*damaged*")).read_bytes() == data
    assert 5 <= again.counts()["sad"] < 30
    hear(again)
    assert again.problem == problem, "it is not forgotten with the next utterance"


def test_a_store_that_is_gone_or_emptied_is_said(start: Open, tmp_path: Path) -> None:
    path = tmp_path / "state" / "examples.sqlite"
    device = start()
    assert device.problem is None, "the first start loses nothing"
    device.close()
    kept_token(DeviceFolder(tmp_path / "state").token)
    (tmp_path / "state" / "examples.sqlite").unlink()
    device = start()
    assert device.problem is None, "nor does one after joining, which has made the page's link"
    (tmp_path / "state" / "personal" / "federations").mkdir()
    device.correct(hear(device).identifier, "sad")
    device.close()
    for lose in (Path.unlink, lambda file: os.truncate(file, 0)):
        lose(path)
        again = start()
        assert "is gone or was emptied" in (again.problem or "")
        again.close()
        whole = start()
        assert whole.problem is None
        whole.close()


def test_a_kept_model_that_is_cut_short_is_said_and_another_waited_for(
    start: Open, weights: Weights, tmp_path: Path
) -> None:
    start().close()
    kept = tmp_path / "state" / "model.safetensors"
    os.truncate(kept, kept.stat().st_size // 2)
    again = start(model=False)
    assert again.recognising.digest is None
    assert str(kept) in (again.problem or "")
    assert hear(again).probabilities is None
    use_weights(again, weights, digest(weights, CONV))
    assert again.problem is None
    assert hear(again, 1).probabilities is not None


def test_a_model_that_overflows_recognises_nothing_and_says_so(
    start: Open, weights: Weights
) -> None:
    device = start()
    assert hear(device).probabilities is not None
    huge = weights * np.float32(1e30)
    use_weights(device, huge, digest(huge, CONV))
    heard = hear(device, 1)
    assert heard.predicted is None
    assert json.loads(json.dumps(heard.to_dict(), allow_nan=False))["emotion"] is None
    assert "its weights are too large" in (device.problem or "")
    assert device.recognising.logits(device.examples()) is not None, "there are none"
    device.correct(heard.identifier, "sad")
    assert device.recognising.logits(device.examples()) is None
    use_weights(device, weights, digest(weights, CONV))
    assert hear(device, 2).probabilities is not None
    assert device.problem is None


def test_threads_may_do_everything_at_once(start: Open) -> None:
    device = start()
    failed: list[BaseException] = []

    def work(act: Callable[[int], object]) -> None:
        try:
            for step in range(8):
                act(step)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failed.append(error)

    hear(device, 99)
    acts: list[Callable[[int], object]] = [
        lambda step: hear(device, step, 0.5),
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

"""What a federation begins with where nobody has said it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.ledger.folder import FederationFolder
from aggregator.rounds.federation import Federation
from aggregator.server.announcer import Announcer
from aggregator.server.settings import ServeSettings
from aggregator.settings import FRESH, PACKAGED, AggregatorSettings
from edge_client.settings import RunSettings
from shared.architectures import architecture_of
from shared.errors import FederationError, SettingsError, WeightsError
from shared.features.prior import Prior, save_prior
from shared.model_notes import ModelNotes
from shared.model_notes.model_card import ModelCard, Teaching, card_of
from shared.protocol.messages import Announcement
from shared.starter import STARTER, STARTER_TASK, STARTER_VOICE, beside
from shared.storage.tensor_file import TensorFile
from shared.task import DEFAULT_TASK, Task, labels_of
from shared.weights import fresh_weights, load_weights, save_weights

HEAD = architecture_of("head", STARTER_TASK)


def begun(state: Path, **given: Any) -> ServeSettings:
    return ServeSettings.parse({"state": state, **given})


def first(settings: AggregatorSettings) -> Any:
    """Begin a federation; give the weights of its first model."""
    with Federation(settings) as federation:
        return federation.files.weights(federation.current.digest)


@pytest.mark.parametrize("initial", [3, [], {}, True, float("nan")])
def test_weights_to_start_from_that_are_no_path_are_one_sentence(
    initial: object, tmp_path: Path
) -> None:
    with pytest.raises(
        SettingsError, match=r"The setting initial = .* is wrong: .* a file or folder"
    ):
        begun(tmp_path, initial=initial)


def test_with_nothing_else_it_begins_with_the_starter(tmp_path: Path) -> None:
    np.testing.assert_array_equal(first(begun(tmp_path)), load_weights(STARTER, HEAD))


def test_a_device_and_an_aggregator_of_which_nothing_was_said_go_together(tmp_path: Path) -> None:
    device = RunSettings.parse({"mic": True, "state": tmp_path / "device"}).begun()
    assert device.task == begun(tmp_path / "aggregator").task == STARTER_TASK
    other = {"labels": "laughing,crying"}
    device = RunSettings.parse({"mic": True, "state": tmp_path / "device", **other}).begun()
    assert device.task == begun(tmp_path / "aggregator", **other).task


@pytest.mark.parametrize(
    ("given", "front_end", "model", "initial"),
    [
        ({}, "whisper-speech", "head", PACKAGED),
        ({"model": "head"}, "whisper-speech", "head", PACKAGED),
        ({"front_end": "whisper-speech"}, "whisper-speech", "head", PACKAGED),
        ({"front_end": "whisper-speech", "model": "head"}, "whisper-speech", "head", PACKAGED),
        ({"initial": "starter"}, "whisper-speech", "head", PACKAGED),
        ({"initial": "fresh"}, "whisper-speech", "head", FRESH),
        ({"labels": "laughing,crying"}, "whisper-speech", "head", None),
        ({"model": "mlp"}, "whisper-speech", "mlp", None),
        ({"model": "conv"}, "paper34", "conv", None),
        ({"model": "lstm"}, "paper34", "lstm", None),
        ({"front_end": "paper34"}, "paper34", "conv", None),
        ({"front_end": "mfcc40", "model": "tdnn"}, "mfcc40", "tdnn", None),
    ],
)
def test_front_end_and_model_go_together(
    given: dict[str, Any], front_end: str, model: str, initial: Path | None, tmp_path: Path
) -> None:
    settings = begun(tmp_path, **given)
    assert (settings.front_end, settings.model, settings.initial) == (front_end, model, initial)


def test_weights_to_start_from_say_what_they_are_of(tmp_path: Path) -> None:
    conv, file = architecture_of("conv", DEFAULT_TASK), tmp_path / "conv.safetensors"
    save_weights(file, fresh_weights(conv, 5), conv)
    settings = begun(tmp_path / "state", initial=file)
    assert (settings.task, settings.model) == (DEFAULT_TASK, "conv")
    np.testing.assert_array_equal(first(settings), load_weights(file, conv))
    with pytest.raises(WeightsError, match="There is no file"):
        begun(tmp_path / "state 2", initial=tmp_path / "none.safetensors")


def test_what_is_wrong_with_a_setting_is_said_as_ever(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no front end nothing"):
        begun(tmp_path, front_end="nothing")


def test_random_weights_have_to_be_asked_for(tmp_path: Path) -> None:
    np.testing.assert_array_equal(first(begun(tmp_path, initial="fresh")), fresh_weights(HEAD, 0))


def test_a_federation_that_was_begun_before_goes_on_as_it_was(tmp_path: Path) -> None:
    before = first(AggregatorSettings(state=tmp_path))  # as 1.0 did by default
    settings = begun(tmp_path)
    assert (settings.task, settings.model, settings.initial) == (DEFAULT_TASK, "conv", None)
    np.testing.assert_array_equal(first(settings), before)
    with pytest.raises(FederationError, match="was begun with"):
        first(begun(tmp_path, front_end="whisper-speech", model="head"))


def test_its_models_say_what_taught_the_first_one(tmp_path: Path) -> None:
    synthetic = ModelCard(
        taught_by=(Teaching(corpus="synthetic", title="Synthetic sounds"),),
        reached={"A": {"all": 1}},
    )
    file = tmp_path / "first.safetensors"
    save_weights(file, fresh_weights(HEAD, 1), HEAD, ModelNotes(card=synthetic))
    for _ in ("begun", "gone on with"):
        with Federation(begun(tmp_path / "state", initial=file)) as federation:
            for digest in (
                federation.current.digest,
                federation.files.add_weights(fresh_weights(HEAD, 2)),
            ):
                card = card_of(TensorFile(federation.files.path(digest)).metadata)
                assert card == synthetic.of_descendants(), "what it reached is no more"


def test_models_of_random_weights_say_nothing(tmp_path: Path) -> None:
    with Federation(begun(tmp_path, initial="fresh")) as federation:
        path = federation.files.path(federation.current.digest)
        assert card_of(TensorFile(path).metadata) is None


def announced(federation: Federation) -> Announcement:
    """Give what the federation announces now."""
    said: list[Announcement] = []

    def publish(announcement: Announcement) -> bool:
        said.append(announcement)
        return True

    Announcer(federation, publish, clock=lambda: 0.0).announce()
    return said[-1]


def test_what_belongs_to_the_first_model_is_handed_out_with_every_model(tmp_path: Path) -> None:
    voice = STARTER_VOICE.read_bytes()
    with Federation(begun(tmp_path)) as federation:
        said = announced(federation).statistics
        assert said
        assert said.size == len(voice)
        assert federation.files.path(said.digest).read_bytes() == voice
    with Federation(begun(tmp_path)) as federation:  # another process, which tidies
        assert announced(federation).statistics == said
        federation.rounds.start(0)
        assert federation.roll_back(0).statistics == said.digest
        out = tmp_path / "out.safetensors"
        last = federation.current
        assert federation.files.export(last.digest, out, last.statistics) == beside(out, "voice")
        assert beside(out, "voice").read_bytes() == voice
    with Federation(begun(tmp_path / "fresh", initial="fresh")) as federation:
        assert announced(federation).statistics is None
        stale = beside(out, "voice")
        last = federation.current
        assert federation.files.export(last.digest, out, last.statistics) is None
        assert not stale.exists()


def test_what_lies_beside_the_weights_to_start_from_is_taken_and_checked(tmp_path: Path) -> None:
    initial = tmp_path / "initial.safetensors"
    save_weights(initial, fresh_weights(HEAD, 1), HEAD)
    features = STARTER_TASK.front_end.features
    other = Task(labels_of(["laughing", "crying"]), STARTER_TASK.front_end)
    prior = Prior(np.zeros(features), np.ones(features), 4)
    save_prior(beside(initial, "prior"), prior, other)
    with pytest.raises(WeightsError, match="of another task"):
        Federation(begun(tmp_path / "state", initial=initial))
    assert not FederationFolder(tmp_path / "state").models.exists()
    save_prior(beside(initial, "prior"), prior, STARTER_TASK)
    with Federation(begun(tmp_path / "state", initial=initial)) as federation:
        assert announced(federation).statistics

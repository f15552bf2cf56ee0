"""How sure a device is of its answers, and what it says where it is not."""

from pathlib import Path

import numpy as np
import pytest

from edge_client.device.device import Device
from edge_client.device.personalising import Learning
from edge_client.device.settings import DeviceSettings
from edge_client.learning.personal_model import PersonalModel
from shared.storage.files import sha256_of
from shared.weights import digest
from tests.brokers import wait_until
from tests.edge_client.device.calibrated import CALIBRATION, CONV, calibrated, weights
from tests.edge_client.device.heard import expected, hear, use_weights


def settings(folder: Path, **values: object) -> DeviceSettings:
    return DeviceSettings.parse({"state": folder / "state", **values})


def warmed() -> tuple[float, ...]:
    """Give what the calibrated model should say of the first utterance."""
    cold = np.log(expected(weights(), [0])) / (CALIBRATION.temperature or 1)
    return tuple((np.exp(cold) / np.exp(cold).sum()).tolist())


def test_probabilities_are_those_of_the_temperature(tmp_path: Path) -> None:
    path = calibrated(tmp_path)
    with Device(settings(tmp_path, weights=path)) as device:
        assert hear(device).probabilities == pytest.approx(warmed(), rel=1e-4)
        assert device.recognising.digest == sha256_of(path)
        device.delete_everything()
    with Device(settings(tmp_path)) as device:  # the kept model knows it, too
        assert hear(device).probabilities == pytest.approx(warmed(), rel=1e-4)


def test_a_model_that_comes_later_brings_its_temperature(tmp_path: Path) -> None:
    path = calibrated(tmp_path)
    with Device(settings(tmp_path)) as device:
        device.use_model(path, sha256_of(path), CONV)
        assert hear(device).probabilities == pytest.approx(warmed(), rel=1e-4)


@pytest.mark.parametrize("below", [0.0, 1.0])
def test_an_answer_below_the_threshold_is_unsure_and_stays_so(below: float, tmp_path: Path) -> None:
    unsure = below == 1
    given = settings(tmp_path, weights=calibrated(tmp_path), unsure_below=below)
    with Device(given) as device:
        heard = hear(device)
        assert heard.unsure is unsure
        assert heard.predicted, "the label is there all the same"
        assert heard.to_dict()["unsure"] is unsure
    with Device(settings(tmp_path)) as device:
        assert [each.unsure for each in device.recent()] == [unsure]
        assert device.correct(heard.identifier, heard.predicted).unsure is unsure


def test_without_a_model_nothing_is_unsure(tmp_path: Path) -> None:
    with Device(settings(tmp_path, unsure_below=1)) as device:
        assert not hear(device).unsure


def test_the_device_knows_what_its_threshold_means(tmp_path: Path) -> None:
    with Device(settings(tmp_path, weights=calibrated(tmp_path))) as device:
        meaning = device.status()["model"]["unsure"]
        assert meaning == {"below": 0.5, "answers": 4, "wrong": 2}
        use_weights(device, weights(), digest(weights(), CONV))
        meaning = device.status()["model"]["unsure"]
        assert meaning == {"below": 0.5, "answers": None, "wrong": None}, "nobody measured this one"


def test_the_personal_model_begins_as_sure_as_the_calibrated_one(tmp_path: Path) -> None:
    with Device(settings(tmp_path, weights=calibrated(tmp_path))) as device:
        device.correct(hear(device).identifier, "sad")
        learner = Learning(device)
        wait_until(lambda: device.status()["model"]["personal"], "it has learned")
        learner.close()
        examples, _ = device.labelled(9)
        found = device.recognising.logits(examples)
        assert found is not None
        wanted = PersonalModel.fit(examples, found[0], CALIBRATION.temperature)
        model = device.recognising._model
        assert model is not None
        assert model.personal is not None
        np.testing.assert_allclose(model.personal.weights, wanted.weights)

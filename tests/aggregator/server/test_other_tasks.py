"""Updates of another task: refused when they are offered, or when they are looked at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.rounds.federation import Federation
from aggregator.server.admission import refusal
from shared.architectures import Architecture, architecture_of
from shared.codecs import make_codec
from shared.codecs.update_file import UpdateFile, encode_update
from shared.errors import FederationError, WeightsError
from shared.protocol.messages import Offer
from shared.task import DEFAULT_TASK, MOST_LABELS
from shared.weights import load_weights
from tests.aggregator.driver import come, settings

pytestmark = pytest.mark.usefixtures("tiny")

SOUNDS = "laughing,crying,shouting,whispering"


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """Open a round of a federation with as many labels as the default task has, but others."""
    with Federation(settings(tmp_path, quorum=1, labels=SOUNDS)) as it:
        come(it)
        yield it


def offer(federation: Federation, **more: Any) -> Offer:
    values = {"update": "0" * 64, "size": 1, "run": federation.ledger.run, "round": 1}
    values |= {"model": federation.current.digest, "codec": "float32", "examples": 5}
    return Offer.model_validate(values | more)


def test_a_client_of_protocol_1_0_cannot_count_and_is_told_why(federation: Federation) -> None:
    told = refusal(federation, "anna", offer(federation, protocol="1.0"))
    assert told
    assert told.reason == "foreign"
    assert told.sentence == (
        "It is of another task: this federation recognises laughing, crying, shouting, whispering "
        "from paper34 1."
    )


def test_an_offer_of_its_own_task_is_welcome(federation: Federation) -> None:
    own = federation.architecture.task.digest
    assert refusal(federation, "anna", offer(federation, task=own)) is None
    small = offer(federation, task=own, confusion=[[1, 0], [0, 1]])
    told = refusal(federation, "anna", small)
    assert told
    assert told.reason == "invalid"


def test_a_sentence_names_as_many_labels_as_it_has_room_for(tmp_path: Path) -> None:
    names = ",".join(f"{'x' * 28}{number:02}" for number in range(MOST_LABELS))
    with Federation(settings(tmp_path, quorum=1, labels=names)) as it:
        come(it)
        told = refusal(it, "anna", offer(it))
    assert told
    assert len(told.sentence) < 500


def update(path: Path, architecture: Architecture) -> Path:
    delta = np.zeros(architecture.parameters, np.float32)
    encode_update(delta, architecture, make_codec("float32"), np.random.default_rng(0)).write(path)
    return path


def test_the_file_of_an_update_says_its_task(federation: Federation, tmp_path: Path) -> None:
    own, codec = federation.architecture, make_codec("float32")
    default = architecture_of("conv", DEFAULT_TASK)
    assert default.parameters == own.parameters, "nothing but the task tells them apart"
    UpdateFile(update(tmp_path / "own", own), codec, own)
    with pytest.raises(WeightsError, match="default is of another task: it recognises angry"):
        UpdateFile(update(tmp_path / "default", default), codec, own)
    with pytest.raises(WeightsError, match="own is of another task: it recognises laughing"):
        UpdateFile(tmp_path / "own", codec, default)


def test_a_federation_keeps_its_task(tmp_path: Path) -> None:
    with Federation(settings(tmp_path, labels=SOUNDS)) as it:
        assert it.ledger.task.names == tuple(SOUNDS.split(","))
        it.files.export(it.current.digest, tmp_path / "exported", None)
        assert load_weights(tmp_path / "exported")[1] == it.architecture
    with pytest.raises(FederationError, match=r"was begun with labels = .*laughing"):
        Federation(settings(tmp_path))

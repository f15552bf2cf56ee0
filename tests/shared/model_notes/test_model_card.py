"""What a model's file says of what taught it."""

import logging
from pathlib import Path

import numpy as np
import pytest

from shared.corpora import CORPORA
from shared.environment import remark_once
from shared.model_notes import ModelNotes
from shared.model_notes.model_card import NOT_SPEECH, ModelCard, Teaching, card_of
from shared.starter import STARTER
from shared.storage.tensor_file import TensorFile
from shared.weights import load_weights, model_metadata, save_weights
from tests.edge_client.tiny import TINY

WEIGHTS = np.zeros(TINY.parameters, np.float32)

CARD = ModelCard(
    taught_by=(Teaching(corpus="one", title="One", licence="CC0", clips=12, speakers=3),),
    reached={"Other": {"all": 0.7, "none": 0.5}},
)

SYNTHETIC = ModelCard(taught_by=(Teaching(corpus="synthetic", title="Synthetic"),))


def test_every_corpus_of_sounds_that_are_made_here_is_known_as_no_speech() -> None:
    made_here = [loader.info for loader in map(CORPORA.get, CORPORA) if not loader.info.tree]
    assert len(made_here) == 2
    for info in made_here:
        teaching = Teaching(corpus=info.name, title=info.title)
        assert ModelCard(taught_by=(teaching,)).is_synthetic, info.name


def written(path: Path, card: ModelCard | None) -> ModelCard | None:
    save_weights(path, WEIGHTS, TINY, ModelNotes(card=card))
    load_weights(path, TINY)
    return card_of(TensorFile(path).metadata)


def test_a_file_says_what_its_model_was_taught_by(tmp_path: Path) -> None:
    assert written(tmp_path / "model.safetensors", CARD) == CARD
    assert CARD.teachers == "One: 12 clips of 3 speakers"
    assert SYNTHETIC.teachers == "Synthetic"


def test_a_federation_s_models_say_that_devices_have_taught_them_too() -> None:
    card = CARD.of_descendants()
    assert card.teachers == ("One: 12 clips of 3 speakers; since then the devices of a federation")
    assert card.reached == {}
    assert card.of_descendants() == card


def test_a_card_names_no_more_than_can_be_read_of_what_taught_long_ago() -> None:
    before = [Teaching(corpus=f"corpus-{number}", title="One") for number in range(32)]
    card = ModelCard.begun_with([Teaching(corpus="new", title="New")], before)
    assert card_of(card.to_metadata()) == card
    assert [each.corpus for each in card.taught_by][:2] == ["new", "corpus-0"]
    assert len(card.taught_by) == 32
    again = ModelCard.begun_with([Teaching(corpus="corpus-3", title="One", clips=7)], before)
    assert [each.corpus for each in again.taught_by].count("corpus-3") == 1


def test_a_file_need_not_say_it(tmp_path: Path) -> None:
    assert written(tmp_path / "model.safetensors", None) is None
    assert "card" not in model_metadata(TINY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"taught_by": []}',
        '{"taught_by": [{"corpus": "x"}]}',
        '{"taught_by": [{"corpus": "x", "title": "X"}], "reached": {"Y": {"all": 2}}}',
        f'{{"taught_by": [{{"corpus": "x", "title": "{"X" * 999}"}}]}}',
    ],
)
def test_a_card_that_cannot_be_read_is_none(text: str) -> None:
    assert card_of({"card": text}) is None


def test_what_a_newer_version_adds_is_left_aside() -> None:
    text = '{"taught_by": [{"corpus": "x", "title": "X", "hours": 3}], "more": 1}'
    assert card_of({"card": text}) == ModelCard(taught_by=(Teaching(corpus="x", title="X"),))


def test_a_model_that_no_speech_has_taught_says_so_when_it_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    remark_once.cache_clear()
    written(tmp_path / "one.safetensors", CARD)
    assert NOT_SPEECH not in caplog.text
    for _ in range(2):
        written(tmp_path / "two.safetensors", SYNTHETIC)
    assert caplog.text.count(NOT_SPEECH) == 1


def test_the_starter_of_the_package_says_who_taught_it() -> None:
    card = card_of(TensorFile(STARTER).metadata)
    assert card
    assert not card.is_synthetic
    assert [each.corpus for each in card.taught_by] == ["emodb"], "whose licence allows it"
    assert card.taught_by[0].licence.startswith("CC0")
    assert {"RAVDESS", "nEMO"} <= {*card.reached}

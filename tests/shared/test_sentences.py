"""Vectors of sentences: counted words, and a published encoder where its folder is named."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from shared.errors import SettingsError
from shared.sentences import SentenceEncoder, sentence_encoder

SAID = ("I am so glad today!", "Leave me alone.", "", "  ", "Leave me alone.")


@pytest.fixture
def published() -> SentenceEncoder:
    folder = os.environ.get("CHORUS_SENTENCES")
    if not folder:
        pytest.skip("no sentence encoder: name the folder of MiniLM in ONNX with CHORUS_SENTENCES")
    pytest.importorskip("onnxruntime")
    return sentence_encoder(folder)


def check(encoder: SentenceEncoder) -> None:
    vectors = encoder.vectors(SAID)
    assert vectors.shape == (5, encoder.width)
    assert vectors.dtype == np.float32
    assert not vectors[[2, 3]].any(), "nothing was said"
    np.testing.assert_allclose((vectors[[0, 1, 4]] ** 2).mean(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors[1], vectors[4], atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1


def test_counted_words_need_no_weights() -> None:
    check(sentence_encoder("words"))


def test_counted_words_know_no_case_and_no_dots() -> None:
    first, second = sentence_encoder("words").vectors(["Leave me, alone", "leave ME alone!"])
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("text", ["żółć gęślą", "नमस्ते दुनिया", "İstanbul"])
def test_counted_words_are_the_same_however_their_letters_are_put_together(text: str) -> None:
    one, other = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    first, second = sentence_encoder("words").vectors([one, other])
    np.testing.assert_array_equal(first, second)


def test_counted_words_are_not_taken_apart_at_their_marks() -> None:
    word, apart = sentence_encoder("words").vectors(["नमस्ते", "नमस त"])
    assert (word != apart).any()


def test_a_published_encoder_puts_like_sentences_near_each_other(
    published: SentenceEncoder,
) -> None:
    check(published)
    glad, joyful, angry = published.vectors(
        ["I am so happy today!", "What a wonderful day, I love it.", "I hate you, go away."]
    )
    assert glad @ joyful > 1.5 * (glad @ angry)


def test_an_encoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no sentence encoder minilm"):
        sentence_encoder("minilm")
    with pytest.raises(SettingsError, match=r"no sentence encoder in .*: model.onnx is missing"):
        sentence_encoder(str(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"no sentence encoder in .*: tokenizer.json is missi"):
        sentence_encoder(str(tmp_path))


def test_an_encoder_that_is_damaged_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tokenizers")
    (tmp_path / "model.onnx").write_bytes(b"\0" * 100)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"The sentence encoder in .* cannot be used"):
        sentence_encoder(str(tmp_path))

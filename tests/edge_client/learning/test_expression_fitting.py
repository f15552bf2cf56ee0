"""Fitting how people differ in showing emotions."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.learning import expression_fitting
from edge_client.learning.expression_fitting import fit_expressions
from edge_client.learning.voice_fitting import fit_voices
from tests.shared.features.voice_models import said, voice_model, voice_of

PEOPLE, EACH, WIDTH = 40, 30, 12
LABELS = np.resize(np.arange(3), PEOPLE * EACH)
SPEAKERS = np.repeat([f"speaker {number:02}" for number in range(PEOPLE)], EACH)
AXES = np.linalg.qr(np.random.default_rng(2).standard_normal((WIDTH, WIDTH)))[0]
EMOTIONS = 4 * AXES[:2].T @ np.random.default_rng(3).standard_normal((2, 3))


def vectors(apart: float) -> NDArray[np.float32]:
    """Let each speaker's emotions lie so far from everybody's, along the third and fourth axis."""
    rng = np.random.default_rng(4)
    own = apart * rng.standard_normal((PEOPLE, 3, 2)) @ AXES[2:4]
    each = own[np.repeat(np.arange(PEOPLE), EACH), LABELS]
    rest = rng.standard_normal((len(LABELS), WIDTH))
    return np.asarray(EMOTIONS.T[LABELS] + each + rest, np.float32)


def test_what_people_differ_in_is_found() -> None:
    found = fit_expressions(vectors(2.0), LABELS, SPEAKERS, 3)
    assert found is not None
    along = found.lift @ AXES[2:4].T
    shares = np.square(along).sum(axis=1) / np.square(found.lift).sum(axis=1)
    of_people = np.argsort(-found.spread / found.rest)[:2]
    assert (shares[of_people] > 0.9).all()
    np.testing.assert_allclose(
        found.spread[of_people] / np.square(found.projection[of_people] @ AXES[2:4].T).sum(axis=1),
        4,
        rtol=0.5,
    )


def test_what_chance_makes_of_few_utterances_is_not_taken_for_people() -> None:
    wide = np.random.default_rng(5).standard_normal((len(LABELS), 400)).astype(np.float32)
    wide[:, :2] += EMOTIONS.T[LABELS] @ AXES[:2].T
    found = fit_expressions(wide, LABELS, SPEAKERS, 3)
    assert found is not None
    assert len(found.spread) == 2 + expression_fitting.OWN_AXES
    assert (found.spread < 0.1 * found.rest).all()


@pytest.mark.parametrize("each", [2, 4, 10])
def test_how_far_people_lie_apart_is_told_from_how_utterances_vary(each: int) -> None:
    some = np.arange(len(LABELS)) % EACH < 3 * each
    found = fit_expressions(vectors(1.0)[some], LABELS[some], SPEAKERS[some], 3)
    assert found is not None
    along = np.square(found.projection @ AXES[2:4].T).sum(axis=1)
    within = np.square(found.projection).sum(axis=1)
    of_people = np.argsort(-along / within)[:2]
    np.testing.assert_allclose(found.rest[of_people] / within[of_people], 1, rtol=0.25)
    np.testing.assert_allclose(found.spread[of_people] / along[of_people], 1, rtol=0.5)


def test_coordinates_go_back_to_vectors() -> None:
    found = fit_expressions(vectors(1.0), LABELS, SPEAKERS, 3)
    assert found is not None
    np.testing.assert_allclose(found.projection @ found.lift.T, np.eye(len(found.lift)), atol=1e-5)
    means = np.array([vectors(1.0)[label == LABELS].mean(axis=0) for label in range(3)])
    np.testing.assert_allclose(found.emotions, means @ found.projection.T, atol=1e-4)
    for part in (found.projection, found.lift, found.emotions, found.rest, found.spread):
        np.testing.assert_array_equal(part, part.astype(np.float32), "as a file keeps it")


def test_as_many_axes_as_there_are_and_no_more_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_expressions(vectors(1.0), LABELS, SPEAKERS, 3)
    assert whole is not None
    assert whole.projection.shape == (WIDTH, WIDTH)
    monkeypatch.setattr(expression_fitting, "OWN_AXES", 5)
    fewer = fit_expressions(vectors(1.0), LABELS, SPEAKERS, 3)
    assert fewer is not None
    assert fewer.projection.shape == (2 + 5, WIDTH)


def test_nothing_is_fitted_where_nobody_repeats_an_emotion_or_all_are_alike() -> None:
    each = np.array([str(number) for number in range(len(LABELS))])
    assert fit_expressions(vectors(1.0), LABELS, each, 3) is None
    same = EMOTIONS.T[LABELS].astype(np.float32)
    assert fit_expressions(np.round(same), LABELS, SPEAKERS, 3) is None


@pytest.mark.parametrize("copies", [2, 3, 7])
def test_nothing_is_fitted_where_who_repeats_an_emotion_repeats_one_sound(copies: int) -> None:
    found, alone = vectors(1.0), np.arange(len(LABELS)).astype(SPEAKERS.dtype)
    for speaker in np.unique(SPEAKERS):
        own = np.flatnonzero((speaker == SPEAKERS) & (LABELS == 0))[:copies]
        found[own], alone[own] = found[own[0]], speaker
    assert fit_expressions(found, LABELS, alone, 3) is None
    found[own] += np.random.default_rng(1).standard_normal((copies, WIDTH)).astype(np.float32)
    assert fit_expressions(found, LABELS, alone, 3) is not None, "one of them is enough"


def test_a_voice_model_comes_with_it_where_speakers_can_be_left_out() -> None:
    true = voice_model(labels=3, coordinates=4, features=6)
    heard = np.concatenate([said(true, voice_of(true, n), LABELS[:EACH], n) for n in range(PEOPLE)])
    heard += np.random.default_rng(1).standard_normal(heard.shape).astype(np.float32) * 0.01
    found = fit_voices(heard, LABELS, SPEAKERS, SPEAKERS, 3)
    assert found.model.expressions is not None
    two = np.isin(SPEAKERS, ["speaker 00", "speaker 01"])
    found = fit_voices(heard[two], LABELS[two], SPEAKERS[two], SPEAKERS[two], 3)
    assert found.model.expressions is None

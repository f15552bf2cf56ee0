"""The updates that are attacked, and what defences leave of them."""

import numpy as np
import pytest

from edge_client.simulation.studies.attacks.defences import CODECS, NONE, Defence, Noise, defences
from edge_client.simulation.studies.attacks.genders import genders_of
from edge_client.simulation.studies.attacks.updates import (
    TURNS,
    Sight,
    Updates,
    draw_shares,
    encoded,
    gradient_of,
)
from shared.weights import initial_weights, norm
from tests.edge_client.tiny import TINY, NumpyEngine, examples

LABELS = np.arange(60, dtype=np.int32) % 4
SPEAKERS = np.repeat(np.arange(3), 20)
NOISE = Noise(1.0, 1e-5)
EVERYBODY = np.ones(24, np.bool_)


def test_shares_of_one_half_have_nothing_of_the_other() -> None:
    shares = draw_shares(LABELS, SPEAKERS, 6, seed=0)
    assert [share.speaker for share in shares] == np.repeat([0, 1, 2], 2 * TURNS).tolist()
    for share in shares:
        assert len(share.members) == 6
        assert set(SPEAKERS[share.members]) == {share.speaker}
        whole = np.concatenate([share.members, share.others])
        assert np.array_equal(np.sort(whole), np.flatnonzero(share.speaker == SPEAKERS))
    for speaker in range(3):
        first, second = (
            {
                int(place)
                for share in shares
                if (share.speaker, share.half) == (speaker, half)
                for place in share.members
            }
            for half in (0, 1)
        )
        assert not first & second
    mixes = {tuple(np.bincount(LABELS[share.members], minlength=4)) for share in shares}
    assert len(mixes) > 5, "each has moods of its own"
    assert len(draw_shares(LABELS, SPEAKERS, 50, seed=0)[0].members) == 10, "a half has no more"


def updates() -> Updates:
    """Give updates of three speakers, each with values of its own."""
    shares = draw_shares(LABELS, SPEAKERS, 6, seed=0)
    rows = np.eye(24, dtype=np.float32) * 2
    return Updates(shares, {"float32": rows}, np.full(24, 2.0))


def test_a_sum_has_the_attacked_update_and_others_of_other_speakers() -> None:
    found = updates()
    attacked = found.speakers == 0
    seen = found.seen(Defence("sum", devices=3), NOISE, attacked, EVERYBODY, seed=0)
    assert seen.shape == (2 * TURNS, 24)
    for place, row in enumerate(seen):
        inside = np.flatnonzero(row)
        assert place in inside
        assert len(inside) == 3
        assert (found.speakers[inside[inside != place]] != 0).all()
        np.testing.assert_allclose(row[inside], 2 / 3)
    plain = found.seen(NONE, NOISE, attacked, EVERYBODY, seed=0)
    assert np.array_equal(plain, found.rows["float32"][attacked])


def test_noise_is_that_of_the_budget_and_drowns_a_shortened_update() -> None:
    found = updates()
    defence = Defence("noise", devices=4, shortened=True, epsilon=2.0)
    seen = found.seen(defence, NOISE, EVERYBODY, EVERYBODY, seed=0)
    # Balle & Wang (2018): epsilon 2 and delta 1e-5 need 1.99 times the longest update.
    assert seen.std() * 4 == pytest.approx(1.99, rel=0.1)
    alone = found.seen(Defence("short", shortened=True), NOISE, EVERYBODY, EVERYBODY, seed=0)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, rtol=1e-5)


def test_every_codec_is_tried_and_the_aggregator_sees_what_it_decodes() -> None:
    assert {defence.codec for defence in CODECS} == {
        "float16",
        "int8",
        "sign",
        "top10-sign",
        "top5-int8",
    }
    assert [defence.devices for defence in defences(8.0)].count(32) == 2
    update = np.random.default_rng(0).standard_normal(TINY.parameters).astype(np.float32)
    assert np.array_equal(encoded(update, TINY, "float32", "a"), update)
    signs = encoded(update, TINY, "sign", "a")
    assert np.array_equal(np.sign(signs), np.sign(update))
    assert len(np.unique(np.abs(signs))) < 30, "their sizes are gone"


def test_a_gradient_is_the_mean_of_those_of_its_examples() -> None:
    engine, some = NumpyEngine(), examples(3)
    weights = initial_weights(TINY, np.random.default_rng(0))
    each = [gradient_of(engine, weights, some.take(np.array([place]))) for place in range(3)]
    whole = gradient_of(engine, weights, some)
    np.testing.assert_allclose(whole, np.mean(each, axis=0), atol=1e-6 * norm(whole))


def test_the_attacks_look_at_the_first_layer_and_the_last() -> None:
    sight = Sight(TINY)
    parts = [spec for spec in TINY.manifest if spec.layer in ("dense1", "logits")]
    vector = np.arange(TINY.parameters, dtype=np.float32)
    assert np.array_equal(sight.of(vector), np.concatenate([vector[s.where] for s in parts]))
    assert np.array_equal(sight.of(vector)[sight.tensors[-1]], vector[-4:])


def test_whom_the_corpora_call_a_man() -> None:
    actors = np.array([f"ravdess Actor_{number:02}" for number in (1, 2, 23, 24)])
    found = genders_of(actors)
    assert found is not None
    assert found.tolist() == [1, 0, 1, 0]
    others = genders_of(np.array(["emodb 03", "emodb 16", "nemo KS0"]))
    assert others is not None
    assert others.tolist() == [1, 0, 1]
    assert genders_of(np.array(["synthetic v1"])) is None

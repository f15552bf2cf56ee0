"""The study of personal models: who hears what when, and how it is scored."""

import io
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edge_client.simulation.engines import Engines
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies import personalisation_study as study
from edge_client.simulation.studies.personalisation_study import (
    CORRECTIONS,
    GLOBAL,
    METHODS,
    PERSONAL,
    TUNED,
    Counts,
    gains,
    hear,
    noise,
    plan_models,
    rows_of_personalisation,
    user_uars,
)
from shared.architectures import Architecture
from shared.errors import SettingsError
from shared.features import statistics
from shared.features.doubt import doubts
from shared.features.normalisation import RunningStatistics
from shared.features.statistics import knowing, remembering
from shared.features.voice import VoiceStatistics
from shared.front_ends import FRONT_ENDS
from shared.randomness import stream
from shared.training import Examples
from shared.weights import initial_weights, save_weights
from tests.edge_client.device.pooled import POOLED
from tests.edge_client.tiny import NumpyEngine, examples, utterances
from tests.shared.features.voice_models import expressions, said, voice_model, voice_of

ORDER = np.random.default_rng(0).permutation(20)


def collect(values: Mapping[str, Any]) -> SimulationSettings:
    return SimulationSettings.collect({"corpus": "emodb", "folds": 3}, preset=values)


def test_a_device_normalises_by_what_it_has_heard_so_far() -> None:
    clips = examples(20)
    heard = hear(clips, ORDER, FRONT_ENDS.get("paper34"))
    assert list(heard.remembered) == [4, 8, 12, 16]
    np.testing.assert_array_equal(heard.fresh.labels, clips.labels[ORDER])
    for count in (1, 8, 20):
        statistics = RunningStatistics(FRONT_ENDS.get("paper34"))
        for index in ORDER[:count]:
            statistics.update(clips.features[index, : clips.frames[index]])
        last = ORDER[count - 1]
        np.testing.assert_array_equal(
            heard.fresh.features[count - 1],
            statistics.normalise(clips.features[last], clips.frames[last]),
        )
        if count in CORRECTIONS:
            known = clips.take(ORDER[:count])
            own = heard.remembered[count]
            np.testing.assert_array_equal(
                own.features, statistics.normalise(known.features, known.frames)
            )
            np.testing.assert_array_equal(own.labels, known.labels)


def test_clips_still_to_come_do_not_change_what_was_heard() -> None:
    clips = examples(20)
    changed = clips.features.copy()
    changed[ORDER[12:]] *= 7
    other = hear(type(clips)(changed, clips.frames, clips.labels), ORDER, FRONT_ENDS.get("paper34"))
    heard = hear(clips, ORDER, FRONT_ENDS.get("paper34"))
    np.testing.assert_array_equal(heard.fresh.features[:12], other.fresh.features[:12])
    for count in (4, 8, 12):
        np.testing.assert_array_equal(
            heard.remembered[count].features, other.remembered[count].features
        )


def test_who_has_corrected_clips_is_known_better_afterwards() -> None:
    model = replace(voice_model(labels=4), belief=np.array([0.0, 3.0, 0.0, 0.0]))
    rng = np.random.default_rng(0)
    features = rng.standard_normal((20, 1, len(model.mean))).astype(np.float32)
    labels = rng.integers(0, 4, 20).astype(np.int32)
    clips = Examples(features, np.ones(20, np.int32), labels)
    heard = hear(clips, ORDER, POOLED, model)
    assert {count: len(later) for count, later in heard.coming.items()} == {
        count: 20 - count for count in CORRECTIONS[1:]
    }
    statistics = VoiceStatistics(model)
    statistics.update(features[ORDER[:18], 0])
    known = knowing(statistics, labels[ORDER[:8]])
    last = clips.features[ORDER[17]]
    np.testing.assert_array_equal(heard.coming[8].features[9], known.normalise(last, 1))
    np.testing.assert_array_equal(heard.fresh.features[17], statistics.normalise(last, 1))
    assert heard.coming[8].doubts is not None
    assert heard.coming[8].doubts[9] == doubts(known, last[None])[0]


def counts_of(recalls: list[list[float]], method: str, orders: int = 5) -> Counts:
    """Make confusions of users with these recalls of the emotions, the same in each order."""
    matrix = np.zeros((len(recalls), orders, len(CORRECTIONS), 4, 4), np.int64)
    for user, recall in enumerate(recalls):
        for emotion, share in enumerate(recall):
            matrix[user, ..., emotion, emotion] = round(20 * share)
            matrix[user, ..., emotion, (emotion + 1) % 4] += 20 - round(20 * share)
    assert method in METHODS
    return matrix


def test_a_device_goes_by_how_its_user_shows_emotions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "FEWEST", 6)
    model = replace(voice_model(labels=4), expressions=expressions(labels=4))
    labels = np.resize(np.arange(4), 20)
    clips = Examples(said(model, voice_of(model), labels)[:, None], np.ones(20, np.int64), labels)
    heard = hear(clips, ORDER, POOLED, model)
    raw, known = clips.take(ORDER), VoiceStatistics(model)
    known.update(raw.features[:10, 0])
    alone = remembering(known, raw.features[:9]).normalise(raw.features[[9]], 1)
    np.testing.assert_array_equal(heard.fresh.features[[9]], alone)
    told = knowing(known, raw.labels[:8])
    said_so = np.array([*raw.labels[:8], -1])
    later = remembering(told, raw.features[:9], said_so).normalise(raw.features[[9]], 1)
    np.testing.assert_array_equal(heard.coming[8].features[[1]], later)
    first = VoiceStatistics(model)
    first.update(raw.features[:8, 0])
    first = remembering(knowing(first, raw.labels[:8]), raw.features[:8], raw.labels[:8])
    np.testing.assert_array_equal(
        heard.remembered[8].features, first.normalise(raw.features[:8], 1)
    )


def test_each_user_is_scored_over_all_orders() -> None:
    counts = counts_of([[1, 0.5, 0.5, 0], [1, 1, 1, 1]], GLOBAL)
    np.testing.assert_allclose(user_uars(counts)[:, 0], [0.5, 1.0])
    counts[0, 1:, :, 1] = 0  # one emotion is to come in one order only: it counts all the same
    np.testing.assert_allclose(user_uars(counts)[:, 0], [0.5, 1.0])


def test_a_gain_is_over_the_same_orders() -> None:
    before, after = counts_of([[0.5] * 4], GLOBAL), counts_of([[0.75] * 4], TUNED, orders=2)
    before[:, 2:] = np.eye(4, dtype=np.int64)  # in orders that the other did not hear
    np.testing.assert_allclose(gains({GLOBAL: before, TUNED: after}, TUNED), 0.25)


def test_noise_is_what_orders_differ_by() -> None:
    before, after = counts_of([[0.5] * 4], GLOBAL), counts_of([[0.75] * 4], PERSONAL)
    assert (noise({GLOBAL: before, PERSONAL: after}, PERSONAL) == 0).all()
    recalls = [0.5, 0.6, 0.75, 0.8, 0.9]
    for order, recall in enumerate(recalls):
        after[:, order] = counts_of([[recall] * 4], PERSONAL)[:, 0]
    # For a mean the jackknife is the standard error of the mean.
    expected = np.std(recalls, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(noise({GLOBAL: before, PERSONAL: after}, PERSONAL), expected)
    one = {GLOBAL: before[:, :1], PERSONAL: after[:, :1]}
    assert np.isnan(noise(one, PERSONAL)).all()


def test_the_table_counts_who_lost() -> None:
    counts = {
        GLOBAL: counts_of([[0.5] * 4, [0.75] * 4], GLOBAL),
        PERSONAL: counts_of([[0.75] * 4, [0.5] * 4], PERSONAL),
    }
    rows = rows_of_personalisation(counts)
    assert [row[0] for row in rows[1:]] == ["0", "4", "8", "12", "16"]
    assert rows[1][1:] == [
        "0.625 ± 0.177",
        "0.625 ± 0.177",
        "+0.000 ± 0.354",
        "-0.250",
        "1 of 2",
    ]
    counts[TUNED] = counts_of([[1.0] * 4, [1.0] * 4], TUNED, orders=1)
    wider = rows_of_personalisation(counts)
    assert {len(row) for row in wider} == {9}
    assert wider[1][6:] == ["+0.375 ± 0.177", "+0.250", "+0.000 ± 0.354, -0.250"]


def test_a_global_model_is_trained_for_each_fold(tmp_path: Path) -> None:
    cell = plan_models(collect, "best", tmp_path, "conv")
    assert [planned.settings.fold for planned in cell.plan] == [1, 2, 3]
    for planned in cell.plan:
        settings = planned.settings
        assert (settings.baseline, settings.validation) == (True, False)
        assert planned.folder.parent == tmp_path / "conv-baseline"
    with pytest.raises(SettingsError, match="running statistics"):
        plan_models(collect, "paper", tmp_path, "conv")
    heard = partial(SimulationSettings.collect, {"normalisation": "device"}, None)
    with pytest.raises(SettingsError, match="never heard"):
        plan_models(heard, "paper", tmp_path, "conv")


def small(folder: Path, tiny: Architecture, monkeypatch: pytest.MonkeyPatch, each: int) -> Any:
    """Put tiny models and made-up users in the place of real ones."""
    monkeypatch.setattr(study, "load_utterances", lambda _, **__: utterances(6, each))
    monkeypatch.setattr(study, "execute", lambda *_, **__: [])
    monkeypatch.setattr(Engines, "get", lambda *_: [NumpyEngine()])
    cell = plan_models(collect, "best", folder, "conv")
    for planned in cell.plan:
        weights = initial_weights(tiny, stream(planned.settings.fold, "weights"))
        save_weights(planned.folder / "model.safetensors", weights, tiny)
    return cell


def test_every_speaker_is_a_user_once(
    tmp_path: Path, tiny: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = small(tmp_path, tiny, monkeypatch, each=20)
    run = partial(study.study, cell, Console(file=io.StringIO()), tuned=1)
    users, counts = run(orders=2)
    assert users == [f"tiny {number:02}" for number in range(6)]
    assert {name: own.shape[:3] for name, own in counts.items()} == {
        GLOBAL: (6, 2, 5),
        PERSONAL: (6, 2, 5),
        TUNED: (6, 1, 5),
    }
    coming = 20 - np.array(CORRECTIONS)
    for own in counts.values():
        np.testing.assert_array_equal(own.sum(axis=(3, 4)), np.broadcast_to(coming, own.shape[:3]))
        # Before the first correction there is but the global model.
        np.testing.assert_array_equal(own[:, :1, 0], counts[GLOBAL][:, :1, 0])
    _, again = run(orders=2)
    for name, own in counts.items():
        np.testing.assert_array_equal(own, again[name], err_msg="from one seed, one result")
    users_alone, alone = study.study(cell, Console(file=io.StringIO()), orders=1, tuned=0)
    assert (users_alone, set(alone)) == (users, {GLOBAL, PERSONAL})
    np.testing.assert_array_equal(alone[PERSONAL], counts[PERSONAL][:, :1])


def test_a_user_with_too_few_clips_is_named_before_anything_is_trained(
    tmp_path: Path, tiny: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = small(tmp_path, tiny, monkeypatch, each=16)
    monkeypatch.setattr(study, "execute", lambda *_, **__: pytest.fail("it has trained"))
    with pytest.raises(SettingsError, match="tiny 00 has 16 clips; none is left after 16"):
        study.study(cell, Console(file=io.StringIO()), orders=1, tuned=0)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    counts = {
        GLOBAL: counts_of([[0.5] * 4, [0.75] * 4], GLOBAL),
        PERSONAL: counts_of([[0.75] * 4, [0.5] * 4], PERSONAL),
    }
    study.draw_personalisation(counts, tmp_path / "new" / "picture.png")
    assert (tmp_path / "new" / "picture.png").read_bytes().startswith(b"\x89PNG")

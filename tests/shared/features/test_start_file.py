"""A model and what its statistics begin with: replaced together, whatever happens."""

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from shared.architectures import architecture_of
from shared.errors import CorpusError
from shared.features.prior import Prior
from shared.features.start_file import KINDS, load_start, save_model, start_beside
from shared.features.statistics import Start
from shared.model_notes import NO_NOTES
from shared.starter import beside
from shared.task import DEFAULT_TASK, FrontEndShape, Task
from shared.weights import load_weights
from tests.killing import killed_at
from tests.shared.features.voice_models import voice_model

TASK = Task(DEFAULT_TASK.labels, FrontEndShape("pooled", version=1, frames=1, features=6))
HEAD = architecture_of("head", TASK)
VOICES = [voice_model(labels=4, coordinates=coordinates) for coordinates in (2, 3)]
PRIOR = Prior(np.ones(6), np.ones(6), 4)


def saved(model: Path, value: float, begun: Start | None) -> Path | None:
    return save_model(model, np.full(HEAD.parameters, value, np.float32), HEAD, NO_NOTES, begun)


def found(model: Path) -> tuple[float, str | None] | None:
    """Tell a model, and what its statistics begin with; ``None`` if there is no model."""
    if not model.exists():
        return None
    start = start_beside(model)
    return load_weights(model)[0][0], load_start(start, TASK).digest if start else None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (VOICES[0], VOICES[1]),
        (VOICES[0], PRIOR),
        (PRIOR, VOICES[0]),
        (VOICES[0], None),
        (None, VOICES[0]),
        (VOICES[0], VOICES[0]),
        (None, None),
    ],
)
def test_a_kill_leaves_no_model_with_what_another_one_begins_with(
    tmp_path: Path, first: Start | None, second: Start | None
) -> None:
    saved(tmp_path / "new.safetensors", 0.5, second)
    new, left = found(tmp_path / "new.safetensors"), set()
    for step in itertools.count():
        model = tmp_path / str(step) / "mine.safetensors"
        saved(model, 0.25, first)
        old = found(model)
        killed = killed_at(step, partial(saved, model, 0.5, second))
        left.add(found(model))
        if not killed:
            break
    assert found(model) == new
    # Where nothing beside it changes there always is a model.
    assert left == ({old, new} if first is second else {old, None, new})


def test_what_cannot_be_kept_replaces_neither(tmp_path: Path) -> None:
    model = tmp_path / "mine.safetensors"
    assert saved(model, 0.25, VOICES[0]) == beside(model, "voice")
    old = found(model)
    wrong = voice_model(labels=4)
    wrong.spread[:] = 0
    with pytest.raises(CorpusError):
        saved(model, 0.5, wrong)
    assert found(model) == old
    assert sorted(tmp_path.iterdir()) == sorted([model, beside(model, "voice")])
    assert saved(model, 0.5, None) is None
    assert not any(beside(model, kind).exists() for kind in KINDS)

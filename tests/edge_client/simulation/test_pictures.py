"""That pictures are drawn whatever the numbers; whether they please, only eyes can tell."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.simulation.pictures import (
    SHADES,
    draw_bars,
    draw_history,
    draw_partition,
    draw_sweep,
)
from edge_client.simulation.reliability_picture import draw_reliability
from shared.errors import StorageError
from shared.metrics import Scores, confusion
from shared.model_notes.calibration import Reliability
from shared.pictures.confusion import draw_confusion
from shared.pictures.drawing import LINE_COLOURS, make_axes, make_figure, save_figure
from shared.task import COLOURS, DEFAULT_TASK, PAPER34, Task, labels_of

NAMES = DEFAULT_TASK.names


def pixels(path: Path) -> Any:
    from matplotlib.image import imread

    return imread(path)[:, :, :3]


def share_of(colour: str, path: Path) -> float:
    return share_in(pixels(path), colour)


def share_in(picture: Any, colour: str) -> float:
    return float((numbered(picture) == int(colour.removeprefix("#"), 16)).mean())


def numbered(picture: Any) -> Any:
    """Give each pixel's colour as a number, as it is written in hexadecimal."""
    return np.rint(255 * picture).astype(np.int32) @ [1 << 16, 1 << 8, 1]


def test_every_colour_has_a_shade_of_its_own() -> None:
    assert tuple(SHADES) == COLOURS
    assert len(set(SHADES.values())) == len(COLOURS)


@pytest.mark.parametrize("clients", [1, 4, 60, 61, 10_000])
def test_area_of_an_emotion_is_its_share(clients: int, tmp_path: Path) -> None:
    counts = np.tile([30, 20, 10, 0], (clients, 1))
    draw_partition(counts, tmp_path / "partition.png", DEFAULT_TASK)
    picture = pixels(tmp_path / "partition.png")
    shares = [share_in(picture, SHADES[label.colour]) for label in DEFAULT_TASK.labels]
    assert shares[0] > 0.1
    # The legend has a patch of each.
    assert shares[0] > 1.3 * shares[1] > 1.69 * shares[2] > 10 * shares[3] > 0


def test_confusion(tmp_path: Path) -> None:
    path = tmp_path / "new" / "confusion.png"
    draw_confusion(Scores.from_confusion(confusion([0, 1, 2, 3], [0, 1, 2, 3], 4), NAMES), path)
    assert 0.1 < share_of("#08306b", path) < 0.25, "four of sixteen cells are full"
    # One emotion is absent, another's counts are long.
    draw_confusion(Scores.from_confusion(np.diag([0, 1, 123_456, 5]), NAMES), path)


@pytest.mark.parametrize(
    "rounds",
    [
        [],
        [{"round": 1, "loss": 1.3, "validation_loss": 1.4, "validation_uar": 0.3}],
        [{"round": 1, "loss": math.nan}, {"round": 2, "loss": None}],
        [
            {"round": i, "loss": None if i == 3 else 1 / i, "validation_uar": i / 100}
            for i in range(1, 60)
        ],
    ],
)
def test_history_with_gaps(rounds: list[dict[str, float]], tmp_path: Path) -> None:
    draw_history(rounds, tmp_path / "history.png", DEFAULT_TASK, chosen=2)
    assert pixels(tmp_path / "history.png").min() < 0.5


@pytest.mark.parametrize("seeds", [0, 1, 3])
def test_sweep(seeds: int, tmp_path: Path) -> None:
    results = [
        {"model": model, "clients": clients, "macro_f1": 0.1 * clients + 0.05 * seed}
        for model in ("dense", "conv")
        for clients in (1, 2, 8)
        for seed in range(seeds)
    ]
    draw_sweep(results, tmp_path / "sweep.png")
    assert pixels(tmp_path / "sweep.png").min() < 0.5


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        draw_history([], tmp_path / "file" / "history.png", DEFAULT_TASK, chosen=1)


@pytest.mark.parametrize("size", [8, 32])
def test_pictures_show_every_label(size: int, tmp_path: Path) -> None:
    names = ["fearful", "calm", *(f"label{place}" for place in range(2, size))]
    task = Task(labels_of(names), PAPER34)
    for clients in (3, 80):
        counts = np.random.default_rng(0).integers(1, 30, (clients, size))
        draw_partition(counts, tmp_path / "partition.png", task)
        found = numbered(pixels(tmp_path / "partition.png"))
        colours = [int(SHADES[label.colour].removeprefix("#"), 16) for label in task.labels]
        assert all((found == colour).mean() > 0.001 for colour in colours)
    draw_confusion(
        Scores.from_confusion(np.eye(size, dtype=np.int64), names), tmp_path / "confusion.png"
    )
    assert pixels(tmp_path / "confusion.png").shape[0] > 700 + 100 * (size - 4)


def test_bars_are_as_long_as_their_shares(tmp_path: Path) -> None:
    for name, shares in (("long", (0.9, 0.8)), ("short", (0.9, 0.1))):
        bars = dict(zip(("clean", "noise"), shares, strict=True))
        draw_bars(bars, tmp_path / f"{name}.png", "UAR", 0.25)
    colour = LINE_COLOURS[0]
    longer, shorter = (share_of(colour, tmp_path / f"{name}.png") for name in ("long", "short"))
    assert longer == pytest.approx(8 * shorter, rel=0.2)


@pytest.mark.parametrize("name", ["$\\foo$", "a $5 b $", "$x"])
def test_a_dollar_sign_in_a_name_begins_no_formula(name: str, tmp_path: Path) -> None:
    draw_bars({name: 0.5, "other": 0.4}, tmp_path / "bars.png", name, 0.25)
    figure = make_figure(4, 3)
    axes = make_axes(figure, name, name)
    axes.plot([0, 1], label=name)
    axes.set_title(name)
    axes.legend(title=name)
    axes.set_xticks(range(30), [name] * 30)
    save_figure(figure, tmp_path / "lines.png", tmp_path / "lines.pdf")
    assert pixels(tmp_path / "lines.png").min() < 0.5


def test_a_picture_of_reliability_shows_what_was_right(tmp_path: Path) -> None:
    probabilities = np.tile([0.85, 0.1, 0.05], (20, 1))
    for name, label in (("right", 0), ("wrong", 1)):
        found = Reliability.of(probabilities, np.full(20, label))
        draw_reliability(found, tmp_path / f"{name}.png")
    colour = LINE_COLOURS[0]
    right, wrong = (share_of(colour, tmp_path / f"{name}.png") for name in ("right", "wrong"))
    assert right > 0.02
    assert wrong < 0.001

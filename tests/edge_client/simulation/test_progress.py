"""How long work is going."""

import io
import math
from typing import Any

import pytest
from rich.console import Console

from edge_client.simulation.progress import RunProgress, duration, work
from edge_client.simulation.run_folder import RoundRow
from edge_client.simulation.settings import SimulationSettings
from tests.clock import Clock


def record(number: int, uar: float | None = 0.5, loss: float = 1.25) -> RoundRow:
    return RoundRow(number, 4, loss, None, uar, None, 1.0, 0, 0)


@pytest.fixture
def text() -> io.StringIO:
    return io.StringIO()


def watch(text: io.StringIO, clock: Clock, total: float, *, terminal: bool = False) -> RunProgress:
    console = Console(file=text, width=100, force_terminal=terminal)
    return RunProgress(console, total, clock)


def test_lines_tell_round_loss_score_and_time_left(text: io.StringIO) -> None:
    clock = Clock()
    with watch(text, clock, 100) as progress:
        run = progress.run("conv random  ", 100)
        run.start(0, 4)
        for number, uar in ((1, 0.5), (2, None)):
            clock.now += 10
            run.round(record(number, uar))
    assert text.getvalue().splitlines() == [
        "conv random  round 1/4  loss 1.250  validation UAR 0.500  30 s left",
        "conv random  round 2/4  loss 1.250  20 s left",
    ]


def test_where_nobody_knows_the_loss_none_is_told(text: io.StringIO) -> None:
    clock = Clock()
    with watch(text, clock, 100) as progress:
        run = progress.run("", 100)
        run.start(0, 4)
        clock.now = 10
        run.round(record(1, None, math.nan))
    assert text.getvalue().splitlines() == ["round 1/4  30 s left"]


def test_rounds_done_before_do_not_shorten_the_estimate(text: io.StringIO) -> None:
    clock = Clock()
    with watch(text, clock, 300) as progress:
        progress.run("", 100).start(4, 4)
        run = progress.run("", 100)
        run.start(2, 4)
        clock.now = 5
        run.round(record(3))
        assert "25 s left" in text.getvalue()  # one of four rounds of this run, and a run
        clock.now = 10
        run.round(record(4))
        run = progress.run("", 100)
        run.start(0, 1)
        clock.now = 30
        run.round(record(1))
    assert text.getvalue().splitlines()[-1].endswith("0 s left")


def test_what_a_failed_run_leaves_undone_is_not_waited_for(text: io.StringIO) -> None:
    clock = Clock()
    with watch(text, clock, 300) as progress:
        failed = progress.run("", 200)
        failed.start(0, 4)
        clock.now = 10
        failed.round(record(1))
        failed.fail()
        run = progress.run("", 100)
        run.start(0, 2)
        clock.now = 20
        run.round(record(1))
    assert text.getvalue().splitlines()[-1].endswith(" 10 s left"), "100 in 20 s, and 50 are left"


def test_long_runs_print_some_lines_only(text: io.StringIO) -> None:
    with watch(text, Clock(), 1) as progress:
        run = progress.run("", 1)
        run.start(0, 1000)
        for number in range(1, 1001):
            run.round(record(number))
    assert len(text.getvalue().splitlines()) == 20


def test_a_terminal_gets_one_live_line(text: io.StringIO) -> None:
    with watch(text, Clock(), 1, terminal=True) as progress:
        run = progress.run("", 1)
        run.start(0, 2)
        run.round(record(1))
        run.round(record(2))
        progress._bar.refresh()
    assert "round 2/2" in text.getvalue()
    assert "round 1/2  loss 1.250  validation UAR 0.500  0 s left\n" not in text.getvalue()


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ({"rounds": 40}, {"rounds": 20}),
        ({"epochs": 2}, {}),
        ({}, {"fraction": 0.5}),
        ({}, {"clients_per_round": 2}),
        ({"model": "lstm"}, {"model": "dense"}),
        ({"model": "dense"}, {"model": "conv"}),
        ({"model": "tdnn", "front_end": "mfcc40"}, {"model": "conv"}),
        ({"model": "conv"}, {"model": "mlp", "front_end": "whisper-speech"}),
        (
            {"model": "mlp", "front_end": "whisper-speech"},
            {"model": "head", "front_end": "whisper-speech"},
        ),
        ({"steps": 2}, {"steps": 1}),
    ],
)
def test_more_work_counts_more(more: dict[str, Any], less: dict[str, Any]) -> None:
    much, little = (SimulationSettings.parse(values) for values in (more, less))
    each = [150] * 4
    assert work(much, each) > work(little, each) > 0


def test_work_counts_who_trains_on_what() -> None:
    settings, steps = SimulationSettings(), SimulationSettings(steps=3)
    assert work(settings, [200] * 4) == 2 * work(settings, [100] * 4)
    assert work(settings, [100] * 20) == 5 * work(settings, [100] * 4)
    assert work(steps, [100] * 20) == 5 * work(steps, [200] * 4)
    two = SimulationSettings(clients_per_round=2)
    assert work(two, [100] * 4) == work(two, [100] * 20), "of more clients no more take part"


def test_a_baseline_is_as_much_work_as_a_federation_of_all() -> None:
    assert work(SimulationSettings(baseline=True), [600]) == work(SimulationSettings(), [150] * 4)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (11_100, "3 h 05 min")],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words

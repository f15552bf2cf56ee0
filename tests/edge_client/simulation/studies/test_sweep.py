"""The file of a study as a plan of runs."""

from pathlib import Path

import pytest

from edge_client.simulation.studies.sweep import finished_groups, read_study
from edge_client.simulation.study import Planned
from shared.errors import SettingsError

OUT = Path("out")


def read(tmp_path: Path, text: str) -> dict[str, list[Planned]]:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return read_study(path, OUT)


def test_a_grid_has_every_value_with_every_other(tmp_path: Path) -> None:
    cells = read(
        tmp_path,
        """
        seeds = 2
        [settings]
        rounds = 7
        [grid]
        strategy = ["fedavg", "median"]
        clients = [2, 4]
        """,
    )
    assert list(cells) == [
        f"strategy={strategy},clients={clients}"
        for strategy in ("fedavg", "median")
        for clients in (2, 4)
    ]
    one, other = cells["strategy=median,clients=2"]
    assert (one.settings.strategy, one.settings.clients, one.settings.rounds) == ("median", 2, 7)
    assert (one.settings.seed, other.settings.seed) == (0, 1)
    assert other.folder == OUT / "strategy=median,clients=2" / "seed-1-fold-1"


def test_a_list_has_names_and_goes_with_the_grid(tmp_path: Path) -> None:
    cells = read(
        tmp_path,
        """
        every_fold = true
        [settings]
        folds = 3
        [grid]
        model = ["conv", "tdnn"]
        [[runs]]
        name = "../with momentum"
        strategy = "fedavgm"
        server_momentum = 0.9
        [[runs]]
        strategy = "krum"
        byzantine = 1
        """,
    )
    names = ["../with momentum", "strategy=krum,byzantine=1"]
    assert list(cells) == [f"{name},model={model}" for name in names for model in ("conv", "tdnn")]
    plan = cells["../with momentum,model=tdnn"]
    assert [one.settings.fold for one in plan] == [1, 2, 3]
    assert plan[0].settings.server_momentum == 0.9
    assert plan[0].folder == OUT / "_with_momentum,model=tdnn" / "seed-0-fold-1"


def test_seeds_in_a_grid_are_runs_of_one_cell(tmp_path: Path) -> None:
    cells = read(tmp_path, '[grid]\nseed = [3, 9]\nmodel = ["conv", "tdnn"]\n')
    seeds = {name: [one.settings.seed for one in plan] for name, plan in cells.items()}
    assert seeds == {"model=conv": [3, 9], "model=tdnn": [3, 9]}


def test_a_preset_is_that_of_each_cell_s_partition(tmp_path: Path) -> None:
    cells = read(
        tmp_path,
        """
        preset = "best"
        [grid]
        baseline = [true, false]
        """,
    )
    (alone,), (together,) = cells.values()
    assert (alone.settings.rounds, together.settings.rounds) == (40, 300)
    assert list(cells) == ["baseline=true", "baseline=false"]


def test_a_study_counts_more_than_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHORUS_EDGE_STRATEGY", "median")
    monkeypatch.setenv("CHORUS_EDGE_ROUNDS", "9")
    ((one,),) = read(tmp_path, '[grid]\nstrategy = ["fedavg"]\n').values()
    assert (one.settings.strategy, one.settings.rounds) == ("fedavg", 9)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[grid]\nstratgy = ["fedavg"]', "There is no setting stratgy; is strategy meant"),
        ("[settings]\nround = 3", "There is no setting round; is rounds"),
        ("seed = 3", "There is no setting seed; there are: preset, seeds"),
        ('[grid]\nstrategy = "fedavg"', "The setting grid.strategy = 'fedavg' is wrong"),
        ("[grid]\nclients = [0]", "The setting clients = 0 is wrong"),
        ('preset = "good"', "There is no preset good"),
        ("seeds = 0", "The setting seeds = 0 is wrong"),
        ("[[runs]]\nclients = 3\n[[runs]]\nclients = 3", "Two runs of the study .* in one folder"),
        ('[[runs]]\nname = "a/b"\n[[runs]]\nname = "a b"', "Two runs of the study"),
        ("[grid]\nclients = [2]\n[[runs]]\nclients = 3", "clients is in .grid. and in ..runs.."),
        ('every_fold = true\n[settings]\nprotocol = "paper"', "There is one test and no folds"),
        ("[grid]\nclients = []", "The study .* has no runs"),
        (f'[[runs]]\ncorpus = "{"x" * 250}"', "corpus=xxx.* is too long a name for a folder"),
        (f'[[runs]]\nname = "{"ä" * 128}"', "is too long a name for a folder of the study"),
    ],
)
def test_a_study_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read(tmp_path, text)


def test_a_cell_without_a_finished_run_is_left_out(tmp_path: Path) -> None:
    assert finished_groups(read(tmp_path, "[settings]\nrounds = 3")) == []

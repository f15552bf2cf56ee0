"""A run that is stopped or fails, and goes on: with the same result, bit for bit."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.simulation.checkpoint import Checkpoint
from edge_client.simulation.run import Run, Stopped
from edge_client.simulation.run_folder import RunFolder
from shared.errors import (
    ChorusError,
    RunError,
    StorageError,
    TrainingError,
)
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.weights import load_weights, save_weights
from tests.edge_client.simulation.runs import (
    ROUNDS,
    UTTERANCES,
    Watcher,
    clock,
    execute,
    outcome,
    simulation,
    stop,
)
from tests.edge_client.tiny import TINY, NumpyEngine

pytestmark = pytest.mark.usefixtures("tiny", "undrawn")

SCAFFOLD: dict[str, Any] = {"strategy": "scaffold", "optimizer": "sgd"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"strategy": "fedadam", "choose": "last"},
        {**SCAFFOLD, "choose": "last"},
        {"baseline": True, "choose": "last"},
        {"client_dropout": 0.9},
    ],
    ids=str,
)
@pytest.mark.parametrize(("error", "raised"), [(KeyboardInterrupt, Stopped), (MemoryError,) * 2])
def test_stopped_and_resumed_ends_in_the_same(
    tmp_path: Path, values: dict[str, Any], error: type[BaseException], raised: type[BaseException]
) -> None:
    whole = execute(tmp_path / "whole", **values)
    # A crash loses what came after the last checkpoint; with this clock there is one at first.
    seconds = 0.0 if error is MemoryError else 10
    for number in (1, ROUNDS - 1):
        path = tmp_path / f"stopped-{number}"
        with pytest.raises(raised):
            execute(path, Watcher(number, error), seconds, **values)
        assert not (path / "result.json").exists()
        assert (path / "checkpoint.safetensors").exists() == (error is KeyboardInterrupt)
        watcher = Watcher()
        result = execute(path, watcher, **values)
        reached = number if error is KeyboardInterrupt else 0
        assert watcher.started == (reached, ROUNDS)
        assert [record.round for record in watcher.records] == [*range(reached + 1, ROUNDS + 1)]
        assert result["confusion"] == whole["confusion"]
        assert outcome(path) == outcome(tmp_path / "whole")


@pytest.mark.parametrize("values", [SCAFFOLD, {"codec": "sign"}], ids=str)
def test_what_clients_remember_is_durable_before_the_checkpoint(
    tmp_path: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        sync(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    stop(tmp_path, 2, **values)
    remembered = [path.stat().st_ino for path in (tmp_path / "controls").iterdir()]
    checkpoint = synced.index((tmp_path / "checkpoint.safetensors").stat().st_ino)
    assert remembered
    assert {*remembered, (tmp_path / "controls").stat().st_ino} <= {*synced[:checkpoint]}


def test_with_other_clips_it_does_not_go_on(tmp_path: Path) -> None:
    stop(tmp_path, 2)
    before = outcome(tmp_path)
    settings, fewer = simulation(), UTTERANCES.take(np.arange(len(UTTERANCES.examples) - 1))
    renamed = replace(UTTERANCES, clips=np.arange(len(UTTERANCES.examples)).astype(str))
    features = UTTERANCES.examples.features.copy()
    features[0, 0, 0] += 1  # recorded again, and as long as before
    again = replace(UTTERANCES, examples=replace(UTTERANCES.examples, features=features))
    for other in (fewer, renamed, again):
        run = Run(settings, RunFolder(tmp_path), other, [NumpyEngine()], clock(10))
        with pytest.raises(RunError, match="belongs to another run: its clips differ"):
            run.execute(Watcher())
    assert outcome(tmp_path) == before
    execute(tmp_path)
    before = outcome(tmp_path)
    for other in (fewer, renamed, again):
        run = Run(settings, RunFolder(tmp_path), other, [NumpyEngine()], clock(10))
        with pytest.raises(RunError, match="belongs to another run: its clips differ"):
            run.execute(Watcher())
    assert outcome(tmp_path) == before


@pytest.mark.parametrize("name", ["partition", "initial"])
def test_with_other_contents_of_a_file_that_it_was_given_it_does_not_go_on(
    tmp_path: Path, name: str
) -> None:
    clips = np.arange(len(UTTERANCES.examples)).astype(str)
    named = replace(UTTERANCES, clips=clips)
    file = tmp_path / {"partition": "who.csv", "initial": "begun.safetensors"}[name]

    def write(clients: int) -> None:
        """Write a division, or weights, that follow from a number."""
        if name == "initial":
            save_weights(file, np.full(TINY.parameters, 0.01 * clients, np.float32), TINY)
            return
        rows = [f"{clip},{place % clients}" for place, clip in enumerate(clips)]
        file.write_text("\n".join(["clip,client", *rows]))

    def run(watcher: Watcher) -> dict[str, Any]:
        settings, folder = simulation(**{name: str(file)}), RunFolder(tmp_path / "run")
        folder.claim(settings, resume=True, overwrite=False)
        return Run(settings, folder, named, [NumpyEngine()], clock(10)).execute(watcher)

    write(3)
    with pytest.raises(Stopped):
        run(Watcher(2, KeyboardInterrupt))
    for _ in ("resumed", "finished"):
        write(2)
        with pytest.raises(RunError, match=f"another run: the content of its {name} is another"):
            run(Watcher())
        write(3)
        result = run(Watcher())
    assert {*result["files"]} == {name}


def test_a_checkpoint_that_knows_no_files_is_gone_on_with(tmp_path: Path) -> None:
    stop(tmp_path, 2)
    checkpoint = tmp_path / "checkpoint.safetensors"
    file = TensorFile(checkpoint)
    facts, arrays = json.loads(file.metadata["facts"]), {n: file.read(n) for n in file.tensors}
    assert facts.pop("files") == {}
    write_tensors(checkpoint, arrays, {"facts": json.dumps(facts)})
    watcher = Watcher()
    execute(tmp_path, watcher)
    assert watcher.started == (2, ROUNDS)


def test_resumed_twice_is_the_same_too(tmp_path: Path) -> None:
    execute(tmp_path / "whole", **SCAFFOLD)
    for number in (2, 3):
        stop(tmp_path / "parts", number, **SCAFFOLD)
    execute(tmp_path / "parts", **SCAFFOLD)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_stopping_says_what_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Stopped) as caught:
        execute(tmp_path, Watcher(2, KeyboardInterrupt))
    assert f"Stopped after round 2 of {ROUNDS}; {tmp_path} keeps" in caught.value.problem
    assert "--resume" in caught.value.remedy
    assert caught.value.exit_code == 130
    load_weights(tmp_path / "model.safetensors", TINY)
    assert (tmp_path / "rounds.csv").read_text().count("\n") == 3


def test_checkpoints_are_not_written_all_the_time(tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        execute(tmp_path, Watcher(3, MemoryError), seconds=0.4)
    # Two readings a round and one after it: 1.2 s a round, and a checkpoint after two of them.
    assert Checkpoint.load(tmp_path / "checkpoint.safetensors", TINY).number == 2


class Failing(NumpyEngine):
    """Fails in some step."""

    def __init__(self, step: int, error: BaseException) -> None:
        super().__init__()
        self._at, self._error = step, error

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        if len(self.seeds) == self._at:
            raise self._error
        return super().step(features, frames, labels, seed)


def fail(path: Path, step: int, error: BaseException, **values: Any) -> None:
    """Run with an engine that fails, and without a checkpoint before."""
    settings, folder = simulation(**values), RunFolder(path)
    folder.claim(settings, resume=True, overwrite=False)
    Run(settings, folder, UTTERANCES, [Failing(step, error)], clock(0)).execute(Watcher())


@pytest.mark.parametrize(
    "error", [StorageError("Full.", "Free some."), TrainingError("No.", "Do.")]
)
def test_an_error_in_a_round_loses_no_round_before(tmp_path: Path, error: ChorusError) -> None:
    whole = execute(tmp_path / "whole", **SCAFFOLD)
    with pytest.raises(type(error), match=error.problem) as caught:
        fail(tmp_path / "run", 10, error, **SCAFFOLD)
    assert ("--resume" in caught.value.remedy) == isinstance(error, StorageError)
    watcher = Watcher()
    result = execute(tmp_path / "run", watcher, **SCAFFOLD)
    assert watcher.started == (2, ROUNDS)
    assert result["confusion"] == whole["confusion"]
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("save", [1, 2])
def test_a_full_disk_is_told_and_the_rest_is_kept(tmp_path: Path, save: int) -> None:
    real, calls = Checkpoint.save, iter(range(1, 100))

    def full(self: Checkpoint, path: Path) -> None:
        if next(calls) >= save:
            raise StorageError("The disk is full.", "Free some space.")
        real(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", full)
        with pytest.raises(StorageError, match="full") as caught:
            execute(tmp_path)
    assert caught.value.remedy.startswith("Free some space. The same command goes on")
    watcher = Watcher()
    execute(tmp_path, watcher)
    assert watcher.started == (save - 1, ROUNDS)


@pytest.mark.parametrize("where", ["save", "_evaluate", "write_result"])
def test_stopping_at_the_end_says_what_is_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    whole = execute(tmp_path / "whole", validation=False)
    owner: Any = {"save": Checkpoint, "_evaluate": Run, "write_result": RunFolder}[where]
    real, calls = getattr(owner, where), iter([True])

    def interrupted(*arguments: Any) -> Any:
        if next(calls, False):
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(owner, where, interrupted)
    with pytest.raises(Stopped, match=f"{tmp_path}/run keeps what was reached") as caught:
        execute(tmp_path / "run", seconds=0, validation=False)
    assert "--resume" in caught.value.remedy
    watcher = Watcher()
    assert execute(tmp_path / "run", watcher, validation=False)["uar"] == whole["uar"]
    assert watcher.started == (ROUNDS, ROUNDS)


def test_the_memory_of_another_strategy_is_damage(tmp_path: Path) -> None:
    stop(tmp_path, 2, strategy="fedadam")
    path = tmp_path / "checkpoint.safetensors"
    reached = Checkpoint.load(path, TINY)
    replace(reached, state={"momentum": reached.weights}).save(path)
    with pytest.raises(RunError, match=r"checkpoint.safetensors is damaged"):
        execute(tmp_path, strategy="fedadam")


@pytest.mark.parametrize("left", [None, "damaged", "fewer"])
def test_who_watches_finds_the_rounds_of_the_checkpoint_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str | None
) -> None:
    """A power cut may come between the checkpoint and the table."""
    stop(tmp_path, 2)
    folder = RunFolder(tmp_path)
    whole = folder.rounds.read_text()
    if left == "fewer":
        folder.rounds.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    elif left:
        folder.rounds.write_text(left)
    else:
        folder.rounds.unlink()
    found: list[str] = []
    watcher = Watcher()
    monkeypatch.setattr(watcher, "start", lambda *_: found.append(folder.rounds.read_text()))
    execute(tmp_path, watcher)
    assert found == [whole]


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    first = execute(tmp_path)
    watcher = Watcher()
    assert execute(tmp_path, watcher) == first
    assert watcher.started is None


def test_a_truncated_checkpoint_is_refused_and_the_model_kept(tmp_path: Path) -> None:
    stop(tmp_path, 2)
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    with pytest.raises(RunError, match="damaged"):
        execute(tmp_path)
    load_weights(tmp_path / "model.safetensors", TINY)


def test_a_stop_within_a_round_goes_back_to_its_beginning(tmp_path: Path) -> None:
    whole = execute(tmp_path / "whole", **SCAFFOLD)
    with pytest.raises(Stopped, match="after round 2"):
        # The checkpoint is written when some clients have trained in round 3.
        fail(tmp_path / "run", 10, KeyboardInterrupt(), **SCAFFOLD)
    result = execute(tmp_path / "run", **SCAFFOLD)
    assert result["confusion"] == whole["confusion"]
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_stopped_average_goes_on_bit_for_bit(tmp_path: Path) -> None:
    execute(tmp_path / "whole", averaging=0.9, choose="last")
    stop(tmp_path / "stopped", 2, averaging=0.9, choose="last")
    execute(tmp_path / "stopped", averaging=0.9, choose="last")
    models = [tmp_path / name / "model.safetensors" for name in ("whole", "stopped")]
    assert models[0].read_bytes() == models[1].read_bytes()

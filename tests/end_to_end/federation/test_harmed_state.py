"""An aggregator whose folder was harmed, as a real process: it says so, and changes nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aggregator.ledger.folder import FederationFolder
from tests.brokers import free_port
from tests.end_to_end.federation.clips import Clips
from tests.end_to_end.federation.processes import Process, Processes

pytestmark = pytest.mark.usefixtures("environment")

OTHER_SEED = ("--seed", "5")
"""What the model that an empty ledger would begin with is another by."""

STORAGE_ERROR, FEDERATION_ERROR = 14, 19


def begins(them: Processes, port: int) -> Process:
    """Start the aggregator, and see that it would serve if there was a broker."""
    aggregator = them.serve(port)
    them.wait(lambda: aggregator.said("No broker listens"), "the aggregator begins")
    return aggregator


def cut_short(state: FederationFolder) -> None:
    (model,) = state.models.iterdir()
    os.truncate(model, model.stat().st_size - 100)


def remove_ledger(state: FederationFolder) -> None:
    for file in state.path.glob("ledger.sqlite*"):
        file.unlink()


def empty_ledger(state: FederationFolder) -> None:
    remove_ledger(state)
    state.ledger.touch()


def make_ledger_a_pipe(state: FederationFolder) -> None:
    remove_ledger(state)
    os.mkfifo(state.ledger)


@pytest.mark.parametrize(
    ("harm", "more", "code", "words"),
    [
        (cut_short, (), FEDERATION_ERROR, "safetensors is missing or damaged."),
        (remove_ledger, OTHER_SEED, FEDERATION_ERROR, "names none of the models beside it."),
        (empty_ledger, OTHER_SEED, FEDERATION_ERROR, "names none of the models beside it."),
        (make_ledger_a_pipe, (), STORAGE_ERROR, "ledger.sqlite: it is a pipe."),
    ],
)
def test_it_is_refused_at_the_start_and_comes_back_with_the_whole_folder(
    harm: Callable[[FederationFolder], None],
    more: tuple[str, ...],
    code: int,
    words: str,
    tmp_path: Path,
    clips: Clips,
) -> None:
    whole, port = tmp_path / "whole", free_port()
    with Processes(tmp_path, clips) as them:
        begins(them, port).kill()
        shutil.copytree(them.state.path, whole)
        harm(them.state)
        before = {path.name: path.read_bytes() for path in them.state.models.iterdir()}
        them.more = more
        refused = them.serve(port)
        assert refused.wait() == code
        assert refused.said(words) == 1
        assert not refused.said("Traceback")
        assert {path.name: path.read_bytes() for path in them.state.models.iterdir()} == before
        shutil.rmtree(them.state.path)
        shutil.copytree(whole, them.state.path)
    with Processes(tmp_path, clips) as again:
        begins(again, port)

"""Memory that is asked for before a training run."""

from pathlib import Path

import pytest

from edge_client.tflite.checks import available_memory, check_memory, needed_memory
from shared.architectures import ARCHITECTURES
from shared.errors import TrainingError
from shared.training import TrainingSettings

GIGABYTE = 10**9


def test_too_little_memory_is_said_before_starting() -> None:
    dense = ARCHITECTURES["dense"]
    check_memory(dense, TrainingSettings(), free=GIGABYTE)
    with pytest.raises(TrainingError, match=r"dense needs \d{3} MB of memory, 300 MB are free"):
        check_memory(dense, TrainingSettings(), free=300_000_000)
    check_memory(dense, TrainingSettings(head_only=True), free=300_000_000)


def test_what_is_needed_grows_with_what_is_kept() -> None:
    dense = ARCHITECTURES["dense"]
    head, sgd, momentum, adam, large = (
        needed_memory(dense, settings)
        for settings in (
            TrainingSettings(head_only=True),
            TrainingSettings(optimizer="sgd"),
            TrainingSettings(optimizer="sgd", momentum=0.9),
            TrainingSettings(),
            TrainingSettings(batch_size=21),
        )
    )
    assert head < sgd < momentum < adam < large < GIGABYTE


@pytest.mark.parametrize("content", [None, "", "MemAvailable:", "MemAvailable: much kB"])
def test_memory_that_the_system_does_not_tell_is_no_obstacle(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "meminfo"
    if content is not None:
        path.write_text(content)
    assert available_memory(path) is None


def test_memory_is_read_from_the_system(tmp_path: Path) -> None:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal: 900 kB\nMemAvailable:   512 kB\n")
    assert available_memory(path) == 512 * 1024

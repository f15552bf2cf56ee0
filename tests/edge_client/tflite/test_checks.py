"""Memory that is asked for before a training run."""

from pathlib import Path

import pytest

from edge_client.tflite.checks import available_memory, check_memory, needed_memory
from shared.architectures import architecture_of
from shared.errors import TrainingError
from shared.task import DEFAULT_TASK
from shared.training import TrainingSettings

GIGABYTE = 10**9


def test_too_little_memory_is_said_before_starting() -> None:
    dense = architecture_of("dense", DEFAULT_TASK)
    check_memory(dense, TrainingSettings(), free=GIGABYTE)
    with pytest.raises(TrainingError, match=r"dense needs \d{3} MB of memory, 300 MB are free"):
        check_memory(dense, TrainingSettings(), free=300_000_000)
    check_memory(dense, TrainingSettings(head_only=True), free=300_000_000)


def test_what_is_needed_grows_with_what_is_kept() -> None:
    dense = architecture_of("dense", DEFAULT_TASK)
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


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("content", [None, "", "MemAvailable:", "MemAvailable: much kB"])
def test_memory_that_the_system_does_not_tell_is_no_obstacle(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        write(tmp_path / "proc/meminfo", content)
    assert available_memory(tmp_path) is None


def test_memory_is_read_from_the_system(tmp_path: Path) -> None:
    write(tmp_path / "proc/meminfo", "MemTotal: 900 kB\nMemAvailable:   512 kB\n")
    assert available_memory(tmp_path) == 512 * 1024


def limit(group: Path, most: str) -> None:
    """Write what Linux tells of a group that uses 100,000 bytes, 30,000 of them for files."""
    write(group / "memory.max", f"{most}\n")
    write(group / "memory.current", "100000\n")
    write(group / "memory.stat", "anon 70000\nactive_file 10000\ninactive_file 20000\n")


@pytest.mark.parametrize("others", ["", "4:memory:/old\n1:name=systemd:/\n"])
def test_a_control_group_s_limit_counts_if_it_is_lower(tmp_path: Path, others: str) -> None:
    write(tmp_path / "proc/meminfo", "MemAvailable:   512 kB\n")
    write(tmp_path / "proc/self/cgroup", f"{others}0::/system.slice/chorus.service\n")
    slice_ = tmp_path / "sys/fs/cgroup/system.slice"
    limit(slice_ / "chorus.service", "max")
    assert available_memory(tmp_path) == 512 * 1024
    limit(slice_ / "chorus.service", "300000")
    assert available_memory(tmp_path) == 230_000
    limit(slice_, "200000")
    assert available_memory(tmp_path) == 130_000, "that of the group around it"
    limit(slice_, "900000")
    assert available_memory(tmp_path) == 230_000

"""Finding a runtime, and saying what to install where there is none."""

import ctypes
import importlib
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import NamedTuple

import numpy as np
import pytest

from shared import tflite
from shared.errors import MissingPartError


class Version(NamedTuple):
    major: int
    minor: int


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tflite._found.cache_clear()
    tflite._say.cache_clear()

    def missing(module: str) -> None:
        raise ModuleNotFoundError(name=module.split(".", maxsplit=1)[0])

    monkeypatch.setattr(tflite, "_import", missing)
    yield
    tflite._found.cache_clear()
    tflite._say.cache_clear()


@pytest.mark.parametrize(
    ("version", "machine", "advice"),
    [
        ((3, 11), "x86_64", "tflite-runtime==2.14.0"),
        ((3, 11), "aarch64", "tflite-runtime==2.14.0"),
        ((3, 13), "aarch64", "ai-edge-litert"),
        ((3, 11), "armv7l", "64-bit"),
    ],
)
@pytest.mark.usefixtures("nothing_installed")
def test_no_runtime_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], machine: str, advice: str
) -> None:
    monkeypatch.setattr(sys, "version_info", Version(*version))
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(MissingPartError, match="No TFLite runtime") as error:
        tflite.find_runtime()
    assert advice in error.value.remedy


def test_the_choice_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    tflite._found.cache_clear()
    tflite._say.cache_clear()
    first, second = tflite.find_runtime(), tflite.find_runtime()
    assert first is second
    assert capsys.readouterr().err.count(f"{first.name} {first.version}") == 1


def test_who_only_recognises_is_told_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    tflite._found.cache_clear()
    tflite._say.cache_clear()
    assert tflite.find_runtime(said=False).name
    assert capsys.readouterr().err == ""


def test_threads_look_one_after_the_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tflite._found.cache_clear()
    tflite._say.cache_clear()
    flags, real = sys.getdlopenflags(), tflite._import
    both, inside = Barrier(2, timeout=0.2), []

    def slow(module: str) -> object:
        inside.append(module)
        # Were the other thread in here too, it would come to this before long.
        with suppress(BrokenBarrierError):
            both.wait()
        return real(module)

    monkeypatch.setattr(tflite, "_import", slow)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: tflite.find_runtime(), range(2))
    assert first is second
    assert len(set(inside)) == len(inside)
    assert capsys.readouterr().err.count("TFLite runtime: ") == 1
    assert sys.getdlopenflags() == flags


def test_a_runtime_leaves_the_process_its_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tflite-runtime for ARM does, which makes numbers below the normal ones zero."""
    libc = ctypes.CDLL(None)
    before = libc.fegetround()

    def load(_: str) -> object:
        libc.fesetround({"x86_64": 0x800, "aarch64": 0x400000}[platform.machine()])  # upward
        return libc

    monkeypatch.setattr(importlib, "import_module", load)
    try:
        tflite._import("a.runtime")
        assert libc.fegetround() == before
    finally:
        libc.fesetround(before)


def test_numbers_below_the_normal_ones_are_no_zeros() -> None:
    """They are with tflite-runtime's wheel for ARM, unless that is undone."""
    tflite.find_runtime(said=False)
    assert np.finfo(np.float32).tiny * np.float32(0.5) > 0


def test_there_is_at_least_one_core() -> None:
    assert 1 <= tflite.physical_cores() <= 4096

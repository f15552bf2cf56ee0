"""Front ends are found by name and by shape; what is wrong with one is one sentence."""

import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.audio import RATE, Samples
from shared.errors import AudioError, SettingsError
from shared.front_ends import FRONT_ENDS, MFCC40, FrontEnd, front_end_named, front_end_of
from shared.front_ends.paper34 import frame_features
from shared.task import PAPER34, FrontEndShape

SOUND = np.random.default_rng(0).uniform(-1, 1, 2 * RATE).astype(np.float32)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module with front ends of one's own; give its name."""
    name = f"own_{zlib.crc32(bytes(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(
        "import numpy\n"
        "from shared.front_ends import FrontEnd\n"
        "from shared.task import FrontEndShape\n"
        "def levels(samples):\n"
        "    return abs(samples[: len(samples) // 800 * 800].reshape(-1, 800)).max(1)[:, None]\n"
        f"LEVELS = FrontEnd(FrontEndShape('levels-{name}', 1, 400, 1, True), 0.05, levels)\n"
        "THIEF = FrontEnd(FrontEndShape('paper34', 1, 100, 34), 0.1, levels)\n"
        "NUMBER = 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_the_paper_s_and_mfcc40_are_there() -> None:
    assert list(FRONT_ENDS)[:2] == ["paper34", "mfcc40"]
    np.testing.assert_array_equal(front_end_of(PAPER34).compute(SOUND), frame_features(SOUND))
    assert front_end_of(MFCC40).compute(SOUND).shape == (201, 40)


@pytest.mark.parametrize("name", ["paper34", "mfcc40"])
def test_ours_travel_to_other_processes(name: str) -> None:
    there = pickle.loads(pickle.dumps(FRONT_ENDS.get(name)))  # noqa: S301 - our own
    np.testing.assert_array_equal(there.compute(SOUND), FRONT_ENDS.get(name).compute(SOUND))


@pytest.mark.parametrize(("name", "frames"), [("paper34", 10), ("mfcc40", 100)])
def test_a_time_is_as_many_frames_as_the_hop_says(name: str, frames: int) -> None:
    assert FRONT_ENDS.get(name).frames_of(1.0) == frames
    assert FRONT_ENDS.get(name).frames_of(0.001) == 1


def test_another_version_than_ours_is_one_sentence() -> None:
    with pytest.raises(SettingsError) as caught:
        front_end_of(replace(MFCC40, version=2))
    assert caught.value.problem == (
        "The task wants features of mfcc40 2 (1000 x 40), and this program computes "
        "mfcc40 1 (1000 x 40)."
    )
    with pytest.raises(SettingsError, match=r"of paper34 1 \(99 x 34\)"):
        front_end_of(replace(PAPER34, frames=99))
    with pytest.raises(SettingsError, match="There is no front end unheard"):
        front_end_of(replace(PAPER34, name="unheard"))


def test_one_of_a_module_is_found_by_its_own_name_afterwards(own: str) -> None:
    found = front_end_named(f"{own}:LEVELS")
    assert front_end_of(found.shape) is found
    assert front_end_named(f"{own}:LEVELS") is found
    assert found.compute(SOUND).shape == (40, 1)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere:LEVELS", "cannot be imported: ModuleNotFoundError"),
        ("{own}:GONE", "cannot be imported: AttributeError"),
        ("{own}:NUMBER", "is not a valid front end: it is a int, not a shared.front_ends.FrontEnd"),
        ("{own}:THIEF", "calls itself paper34, which is not its name here"),
        ("unheard", "There is no front end unheard; there are: paper34, mfcc40"),
    ],
)
def test_what_is_no_front_end_is_one_sentence(own: str, name: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        front_end_named(name.format(own=own))


def test_an_entry_point_has_the_name_of_what_it_offers(
    own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = [
        EntryPoint(f"levels-{own}", f"{own}:LEVELS", "chorus.front_ends"),
        EntryPoint("another", f"{own}:LEVELS", "chorus.front_ends"),
    ]
    monkeypatch.setattr(FRONT_ENDS, "_points", lambda: offered)
    assert front_end_named(f"levels-{own}").shape.name == f"levels-{own}"
    del offered[0]
    with pytest.raises(SettingsError, match=f"another calls itself levels-{own}"):
        front_end_named("another")


SHAPE = FrontEndShape("own", version=1, frames=20, features=3)


@pytest.mark.parametrize(
    ("gives", "error", "sentence"),
    [
        (np.zeros((5, 2)), SettingsError, r"shape \(5, 2\) instead of \(1 to 20, 3\)"),
        (np.zeros((21, 3)), SettingsError, r"shape \(21, 3\) instead of"),
        (np.zeros(3), SettingsError, r"shape \(3,\) instead of"),
        (np.zeros((0, 3)), AudioError, "too short for a frame of own"),
        (np.full((5, 3), np.nan), AudioError, "own gives values that are not finite"),
        (np.full((5, 3), 1e300), AudioError, "own gives values that are not finite"),
        (np.full((5, 3), -2e6), AudioError, r"own gives values beyond ±1e\+06"),
        ("nothing", AudioError, "as own fails with it: ValueError"),
        (None, AudioError, "own gives"),
    ],
)
def test_what_a_front_end_may_not_give_is_one_sentence(
    gives: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises((error, SettingsError), match=sentence):
        FrontEnd(SHAPE, 0.1, lambda _: gives).compute(SOUND)


def raising(error: Exception) -> Callable[[Samples], Any]:
    def fail(_: Samples) -> None:
        raise error

    return fail


def test_one_that_fails_is_named_and_its_own_errors_are_kept() -> None:
    with pytest.raises(AudioError, match="as own fails with it: KeyError: 'x'"):
        FrontEnd(SHAPE, 0.1, raising(KeyError("x"))).compute(SOUND)
    with pytest.raises(AudioError, match="Too quiet"):
        FrontEnd(SHAPE, 0.1, raising(AudioError("Too quiet."))).compute(SOUND)


def test_features_become_float32() -> None:
    found = FrontEnd(SHAPE, 0.1, lambda _: np.ones((2, 3), np.float64)).compute(SOUND)
    assert found.dtype == np.float32


@pytest.mark.parametrize("hop", [0.0, -0.1, 5.0, float("nan")])
def test_a_hop_that_cannot_be_is_refused(hop: float) -> None:
    with pytest.raises(ValueError, match="the hop of own should be"):
        FrontEnd(SHAPE, hop, frame_features)


def test_front_ends_are_known_without_numpy() -> None:
    script = "import sys, shared.front_ends\nprint('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"

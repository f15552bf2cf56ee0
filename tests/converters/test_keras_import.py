"""What is imported with TensorFlow, and what is not."""

import importlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from converters.keras_import import without


def test_modules_are_hidden_from_the_thread_that_asked_and_for_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    before = list(sys.meta_path)
    with ThreadPoolExecutor(1) as other, without(("colorsys",)):
        with pytest.raises(ImportError):
            importlib.import_module("colorsys")
        assert importlib.import_module("statistics")
        there = other.submit(importlib.import_module, "colorsys").result()
    del sys.modules["colorsys"]
    assert importlib.import_module("colorsys").__name__ == there.__name__
    assert sys.meta_path == before


def test_tensorflow_comes_without_galleries_and_wrappers() -> None:
    """In a process of its own: what another test has imported is there, whoever hides it."""
    script = (
        "import json, sys; from converters.keras_import import import_tensorflow\n"
        "import_tensorflow(); import keras\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    command = [sys.executable, "-c", script]
    there = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert {"tensorflow", "keras"} <= {*there}
    assert not {"matplotlib", "sklearn"} & {*there}

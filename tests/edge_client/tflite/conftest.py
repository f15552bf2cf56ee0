"""What Keras computes, for environments with and without it."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]

Reference = Callable[[str], dict[str, NDArray[Any]]]


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Give what Keras computes for a model; `scripts/test` computes it once for all."""
    given = os.environ.get("CHORUS_KERAS_REFERENCE")
    folder = Path(given) if given else tmp_path_factory.mktemp("reference")
    if not (folder / "optimisers.npz").exists():
        python = sys.executable if find_spec("tensorflow") else str(ROOT / ".venv/bin/python")
        if not Path(python).exists():
            pytest.skip("no Keras to compare with: scripts/setup makes an environment with it")
        module = "tests.edge_client.tflite.reference"
        subprocess.run([python, "-m", module, str(folder)], cwd=ROOT, check=True)

    def load(model: str) -> dict[str, NDArray[Any]]:
        with np.load(folder / f"{model}.npz") as arrays:
            return dict(arrays)

    return load

"""Files of models, named by their digests."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from aggregator.ledger import Model
from aggregator.ledger.model_files import ModelFiles
from shared.errors import FederationError, StorageError
from tests.edge_client.tiny import TINY

WEIGHTS = np.linspace(-1, 1, TINY.parameters, dtype=np.float32)


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    return ModelFiles(tmp_path / "models", TINY)


def test_a_file_is_named_by_what_is_in_it(files: ModelFiles) -> None:
    digest = files.add_weights(WEIGHTS)
    content = files.path(digest).read_bytes()
    assert digest == hashlib.sha256(content).hexdigest()
    assert files.size(digest) == len(content)
    assert files.add_weights(WEIGHTS.copy()) == digest
    assert files.add_weights(-WEIGHTS) != digest
    np.testing.assert_array_equal(files.weights(digest), WEIGHTS)


def test_arrays_come_back_as_they_were(files: ModelFiles) -> None:
    arrays = {"m": WEIGHTS, "steps": np.array([3]), "one": np.array(2.5)}
    found = files.arrays(files.add_arrays(arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("damage", ["changed", "cut off", "missing", "other"])
def test_a_damaged_file_is_never_read(files: ModelFiles, damage: str) -> None:
    digest = files.add_weights(WEIGHTS)
    path = files.path(digest)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "other":
        path.write_bytes(files.path(files.add_weights(-WEIGHTS)).read_bytes())
    else:
        path.write_bytes(content[:-1] + (b"" if damage == "cut off" else b"\xff"))
    for reading in (
        files.weights,
        files.arrays,
        lambda d: files.export(d, path.with_name("x"), None),
    ):
        with pytest.raises(FederationError, match=digest):
            reading(digest)
    assert not path.with_name("x").exists()


def test_only_what_is_kept_stays(files: ModelFiles) -> None:
    first, second = files.add_weights(WEIGHTS), files.add_weights(-WEIGHTS)
    (files.folder / ".new-abcdefgh.safetensors").write_bytes(b"of a killed process")
    files.keep({second})
    assert [path.stem for path in files.folder.iterdir()] == [second]
    assert files.has(Model(digest=second, bytes=1))
    assert not files.has(Model(digest=second, bytes=1, memory=first))


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(StorageError):
        ModelFiles(tmp_path / "models", TINY).add_weights(WEIGHTS)

"""Vectors in files read as arrays do."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StorageError
from shared.vector_file import VectorFile

VECTOR = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
place = st.none() | st.integers(-1100, 1100)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> VectorFile:
    return VectorFile.write(tmp_path_factory.mktemp("vector") / "v", VECTOR)


@given(start=place, stop=place)
def test_slices_equal_the_array_s(file: VectorFile, start: int | None, stop: int | None) -> None:
    piece = file[start:stop]
    assert piece.dtype == np.float32
    np.testing.assert_array_equal(piece, VECTOR[start:stop])


def test_its_length_is_the_array_s(file: VectorFile) -> None:
    assert len(file) == len(VECTOR)


def test_numpy_takes_it_for_an_array(file: VectorFile) -> None:
    assert np.asarray(file).dtype == np.float32
    np.testing.assert_array_equal(file, VECTOR)
    assert np.asarray(file, np.float64).dtype == np.float64
    assert np.linalg.norm(file) == np.linalg.norm(VECTOR)
    assert not np.subtract(VECTOR, file).any()


def test_pieces_are_contiguous(file: VectorFile) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        file[::2]


def test_a_view_is_written_as_it_reads(tmp_path: Path) -> None:
    file = VectorFile.write(tmp_path / "v", VECTOR[::-2])
    np.testing.assert_array_equal(file[:], VECTOR[::-2])


def test_a_full_disk_is_named() -> None:
    with pytest.raises(StorageError, match="The disk is full while writing /dev/full"):
        VectorFile.write(Path("/dev/full"), VECTOR)

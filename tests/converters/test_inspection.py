"""What `converters inspect` reads, from files that are whole, damaged and hostile."""

import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from converters import inspection
from converters.cli import app
from converters.inspection import Inspection, inspect_bytes, inspect_file
from shared.architectures import architecture_of
from shared.errors import WeightsError
from shared.graphs.files import trainable_file
from shared.graphs.graph import Graph
from shared.graphs.tflite_file import serialise
from shared.task import DEFAULT_TASK
from shared.tflite import Session


@cache
def conv() -> bytes:
    return trainable_file(architecture_of("conv", DEFAULT_TASK))


def test_it_reads_what_the_runtime_reads() -> None:
    found = inspect_bytes(conv())
    assert list(found.signatures) == ["train", "train_head", "infer"]
    for name, sides in found.signatures.items():
        session = Session(conv(), name, 1)
        shapes = {n: tuple(cast("list[int]", t["shape"])) for n, t in sides["inputs"].items()}
        assert shapes == session.inputs
        shapes = {n: tuple(cast("list[int]", t["shape"])) for n, t in sides["outputs"].items()}
        assert shapes == session.outputs
        masks = {n for n, t in sides["inputs"].items() if t["dtype"] == "int8"}
        assert all("mask" in mask for mask in masks)
        assert {t["dtype"] for t in sides["inputs"].values()} <= {"float32", "int8"}
    assert found.bytes == len(conv())
    assert found.custom_ops == []


def test_custom_and_flex_ops_are_named() -> None:
    g = Graph("odd")
    x = g.input("x", (2,))
    g.output("y", g.op("CUSTOM", [g.unary("TANH", x)], (2,)))
    content = serialise([g])
    found = inspect_bytes(content)
    assert {(op.name, op.version, op.count) for op in found.ops} == {
        ("CUSTOM", 1, 1),
        ("TANH", 1, 1),
    }
    assert found.custom_ops == ["CUSTOM"]


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", b"PK\x03\x04 no model at all", b"\0" * 400], ids=repr
)
def test_a_file_that_is_none_is_called_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.tflite"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"odd\.tflite is not a TFLite file"):
        inspect_file(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        inspect_file(tmp_path / "missing.tflite")
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(WeightsError, match=f"Cannot read {path}: it is not a file"):
            inspect_file(path)


def test_of_a_file_that_is_none_only_the_beginning_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.tflite"
    path.write_bytes(b"\0" * 10_000)
    seen: list[int] = []
    monkeypatch.setattr(inspection, "inspect_bytes", lambda data: seen.append(len(data)))
    inspect_file(path)
    path.write_bytes(conv())
    inspect_file(path)
    assert seen == [8, len(conv())]


def repeating(count: int) -> bytes:
    """Write a list of subgraphs that are all the same one, whose ops are all the same one."""
    model, length = 28, 4 + 4 * count
    subgraphs = model + 36
    subgraph = subgraphs + length
    ops = subgraph + 36
    op = ops + length
    nothing = op + 36

    def table(at: int, **fields: int) -> bytes:
        places = [fields.get(f"field_{number}", nothing) for number in range(8)]
        offsets = [place - (at + 4 + 4 * number) for number, place in enumerate(places)]
        return struct.pack("<i8I", at - 8, *offsets)

    def vector(at: int, to: int) -> bytes:
        offsets = [to - (at + 4 + 4 * number) for number in range(count)]
        return struct.pack(f"<{1 + count}I", count, *offsets)

    return (
        struct.pack("<I4s", model, b"TFL3")
        # One layout for all tables: eight fields, each an offset.
        + struct.pack("<10H", 20, 36, *range(4, 36, 4))
        + table(model, field_2=subgraphs)
        + vector(subgraphs, subgraph)
        + table(subgraph, field_3=ops)
        + vector(ops, op)
        + table(op)
        + struct.pack("<I", 0)
    )


def test_lists_of_the_same_list_are_not_followed_for_ever() -> None:
    with pytest.raises(WeightsError, match="an op has no code"):
        inspect_bytes(repeating(3))
    with pytest.raises(WeightsError, match="pointed to again and again"):
        inspect_bytes(repeating(1000))


def inspect_or_refuse(content: bytes) -> Inspection | None:
    """Anything but a :class:`WeightsError` is a failure."""
    try:
        return inspect_bytes(content)
    except WeightsError:
        return None


@given(st.integers(0, 10**6))
def test_a_file_that_was_cut_off_is_refused_or_read(length: int) -> None:
    inspect_or_refuse(conv()[: length % len(conv())])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6),
            st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 4, b"\0" * 4])),
        ),
        min_size=1,
        max_size=12,
    )
)
@example([(0, b"\xff\xff\xff\xff")])
def test_a_file_that_was_changed_is_refused_or_read(changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(conv())
    for at, value in changes:
        start = at % (len(content) - len(value))
        content[start : start + len(value)] = value
    inspect_or_refuse(bytes(content))


@given(st.binary(max_size=400))
def test_a_file_of_noise_is_refused_or_read(noise: bytes) -> None:
    inspect_or_refuse(noise[:4] + b"TFL3" + noise[4:])


def test_inspecting_imports_no_tensorflow(tmp_path: Path) -> None:
    path = tmp_path / "conv.tflite"
    path.write_bytes(conv())
    program = (
        "import sys, pathlib\n"
        "from converters.inspection import inspect_file\n"
        "inspect_file(pathlib.Path(sys.argv[1]))\n"
        "assert not {'tensorflow', 'numpy', 'flatbuffers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


def test_names_in_a_file_do_not_write_to_the_terminal(tmp_path: Path) -> None:
    g = Graph("\x1b[2J[/bold]")
    g.output("y", g.unary("TANH", g.input("x\x07", (2,))))
    path = tmp_path / "odd.tflite"
    path.write_bytes(serialise([g]))
    shown = CliRunner().invoke(app, ["inspect", str(path)])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.replace("\n", "").isprintable()
    assert r"\x1b[2J[/bold]" in shown.stdout

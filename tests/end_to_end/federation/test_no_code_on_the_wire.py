"""No module unpickles, evaluates, or runs what comes from elsewhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("aggregator", "converters", "edge_client", "shared")

MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
MODULES |= {"torch", "jsonpickle", "yaml"}
PICKLES = ROOT / "converters" / "encoders" / "torch_file.py"
"""Reads PyTorch's files, with an unpickler that finds no class but those of tensors; nothing
of it comes from a network. Its own tests give it pickles that ask for more."""

BUILTINS = {"eval", "exec", "compile", "__import__"}


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def wrong(tree: ast.AST) -> Iterator[str]:
    """Name what may run code that came from elsewhere."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (n.name for n in names if n.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in MODULES:
                yield module
            case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
                yield name
            case ast.keyword(arg="allow_pickle", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield "allow_pickle"
            case ast.Attribute(attr="pickle" | "read_pickle" | "to_pickle" as name):
                yield name


def test_no_module_runs_what_comes_from_elsewhere() -> None:
    assert PICKLES in sources()
    others = [path for path in sources() if path != PICKLES]
    found = {str(path): list(wrong(ast.parse(path.read_text()))) for path in others}
    assert len(found) > 100
    assert not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "import torch.serialization",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "exec(code)",
        "pandas.read_pickle(path)",
    ],
)
def test_it_would_be_found(line: str) -> None:
    assert list(wrong(ast.parse(line)))


def test_numpy_files_are_not_unpickled(tmp_path: Path) -> None:
    """NumPy's own default, on which ``allow_pickle`` not being given relies."""
    import numpy as np

    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "x.npy")

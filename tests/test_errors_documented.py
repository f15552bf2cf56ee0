"""docs/errors.md lists every kind of error with its exit code and its remedy."""

import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import aggregator
import converters
import edge_client
import shared
from shared.errors import ChorusError

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"


def kinds(error: type[ChorusError]) -> list[type[ChorusError]]:
    """List an error and all that derive from it."""
    return [error, *(kind for below in error.__subclasses__() for kind in kinds(below))]


def all_kinds() -> dict[str, int]:
    """Find all errors of the project, importing the modules that define one."""
    for package in (aggregator, converters, edge_client, shared):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            spec = importlib.util.find_spec(module.name)
            assert spec is not None
            assert spec.origin is not None
            if re.search(r"^class \w+\(\w*Error\)", Path(spec.origin).read_text(), re.MULTILINE):
                importlib.import_module(module.name)
    ours = [kind for kind in kinds(ChorusError) if not kind.__module__.startswith("tests")]
    return {kind.__name__: kind.exit_code for kind in ours}


def test_the_table_lists_each_kind_with_its_code() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| \w", PAGE.read_text(), re.MULTILINE)
    assert {name: int(code) for code, name in rows} == all_kinds()


def test_each_kind_has_a_section_with_its_remedy() -> None:
    sections = re.findall(r"^## (\d+): (\w+)\n\n(.+)$", PAGE.read_text(), re.MULTILINE)
    assert {name: int(code) for code, name, _ in sections} == all_kinds()


def test_no_two_kinds_share_a_code() -> None:
    codes = list(all_kinds().values())
    assert len(codes) == len(set(codes))
    assert not {0, 126, 127} & set(codes), "shells have a meaning for these"

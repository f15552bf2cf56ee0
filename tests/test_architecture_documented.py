"""docs/architecture.md names files and packages that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"


def test_each_file_and_folder_that_it_names_is_there() -> None:
    named = set(
        re.findall(r"`([\w./-]+(?:\.py|\.toml|\.json|\.sh|\.js|\.html|/))`", PAGE.read_text())
    )
    assert len(named) > 80, "they are found"
    missing = {name for name in named if not is_there(name)}
    assert not missing


def is_there(name: str) -> bool:
    """Say whether a name is a path here, or the end of one in a package or in ``deploy``."""
    if (ROOT / name).exists():
        return True
    packages = ("aggregator", "converters", "edge_client", "shared", "deploy")
    return any(any((ROOT / package).rglob(name)) for package in packages)


def test_each_package_says_what_lives_there() -> None:
    packages = ("aggregator", "converters", "edge_client", "shared")
    inits = [path for package in packages for path in (ROOT / package).rglob("__init__.py")]
    silent = [str(path) for path in inits if not path.read_text().startswith('"""')]
    assert inits
    assert not silent

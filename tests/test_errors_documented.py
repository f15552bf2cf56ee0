"""docs/errors.md lists every kind of error with its exit code and its remedy."""

import ast
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
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


def sentences() -> Iterator[tuple[str, str, str]]:
    """Give the kind of each error that the code raises, its sentence, and where it is raised.

    Values in a sentence are written as ``X``.
    """
    known = all_kinds()
    for package in (aggregator, converters, edge_client, shared):
        for path in Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                called = ast.unparse(node.func)
                kind = {"_trouble": "BrokerError"}.get(called, called)
                if kind in known:
                    where = f"{path.parent.name}/{path.name}:{node.lineno}"
                    yield from ((kind, text, where) for text in texts(node.args[0]))


def texts(node: ast.expr) -> list[str]:
    """Write the sentences that an expression can be; none where it is made elsewhere."""
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.JoinedStr(values=values):
            return ["".join(v.value if isinstance(v, ast.Constant) else "X" for v in values)]  # type: ignore[misc] # constants of an f-string are texts
        case ast.IfExp(body=body, orelse=other):
            return [*texts(body), *texts(other)]
    return []


def test_each_sentence_has_an_entry_in_its_kinds_section() -> None:
    page = PAGE.read_text()
    sections = dict(re.findall(r"^## \d+: (\w+)\n(.+?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    found = list(sentences())
    assert len(found) > 200, "they are found"
    missing = [
        f"{where}: {kind}: {sentence}"
        for kind, sentence, where in found
        if len(re.findall(r"\b[a-z]{2,}", sentence)) > 1
        and not any(fits(e, sentence) for e in entries(sections[kind]))
    ]
    assert not missing, "\n".join(missing)


def test_each_entry_is_what_the_code_says() -> None:
    """Parts between ``…`` and colons are looked for, as sentences are put together of parts."""
    said = "\n".join(written())
    page = re.sub(r"^\|.*$", "", PAGE.read_text(), flags=re.MULTILINE)
    found = [
        entry
        for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]
        for entry in entries(section)
    ]
    assert len(found) > 400, "they are found"
    parts = {entry: [part.strip(" .,()") for part in re.split("…|: ", entry)] for entry in found}
    gone = [entry for entry, own in parts.items() if not all(part in said for part in own)]
    assert not gone, "\n".join(gone)


def written() -> Iterator[str]:
    """Give every text in the code, with a mark where a value goes."""
    for package in (aggregator, converters, edge_client, shared):
        for path in Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield " ".join(node.value.split())


def entries(section: str) -> list[str]:
    """List the sentences that a section explains: those in italics."""
    return re.findall(r"\*([^*]+)\*", " ".join(section.split()))


def fits(entry: str, sentence: str) -> bool:
    """Say whether an entry, with its ``…``, is what a sentence begins with, or ends with."""
    pattern = ".*".join(re.escape(part.strip()) for part in entry.split("…"))
    return re.match(pattern, sentence) is not None

import json

import typer
from typer.testing import CliRunner, Result

from edge_client.commands.corpora import corpora
from shared.corpora import CORPORA

app = typer.Typer()
app.command()(corpora)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_the_listing_names_every_corpus_and_what_is_needed_to_use_it() -> None:
    result = run()
    assert result.exit_code == 0
    assert result.stderr == ""
    flat = " ".join(result.stdout.split())
    for name in CORPORA:
        info = CORPORA.get(name).info
        assert f"\n{name}  -  " in "\n" + result.stdout
        for fact in (info.description, info.licence, info.obtain):
            assert fact in flat
        for line in info.tree.splitlines():
            assert f"    {line}\n" in result.stdout


def test_the_listing_fits_80_columns() -> None:
    assert max(map(len, run().stdout.splitlines())) <= 80


def test_the_synthetic_corpus_is_said_not_to_be_speech() -> None:
    assert "not speech" in CORPORA.get("synthetic").info.title


def test_json() -> None:
    listed = json.loads(run("--json").stdout)
    assert [corpus["name"] for corpus in listed] == list(CORPORA)
    assert set(listed[0]) == {"name", "title", "description", "licence", "obtain", "tree"}


def test_help_has_an_example() -> None:
    assert "edge-client corpora --json" in " ".join(run("--help").stdout.split())

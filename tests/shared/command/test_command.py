"""What every command line has in common."""

import importlib
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import edge_client.cli
from shared import command
from shared.errors import ChorusError, CorpusError


def run(error: BaseException | None, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a command that raises an error; give its exit code."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def main() -> None:
        typer.echo("answer")
        if error:
            raise error

    monkeypatch.setattr(sys, "argv", ["main"])
    with pytest.raises(SystemExit) as caught:
        command.run(app)
    return caught.value.code


def test_a_good_end(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(None, monkeypatch) in (0, None)
    assert capfd.readouterr() == ("answer\n", "")


@pytest.mark.parametrize("name", ["a[/bold]", "a[red]b", "a:heart:", "a\\"])
def test_a_name_in_an_error_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(CorpusError(f"There is no {name}.", f"Make {name}."), monkeypatch) == 10
    assert capfd.readouterr().err == f"error: There is no {name}.\nMake {name}.\n"


def test_an_error_is_a_sentence_and_its_mend(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(CorpusError("No clips in [bold]/x[/].", "Look again."), monkeypatch) == 10
    out, err = capfd.readouterr()
    assert out == "answer\n"
    assert err == "error: No clips in [bold]/x[/].\nLook again.\n"


def test_what_an_error_repeats_of_a_file_cannot_write_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run(CorpusError("There is no clip \x1b[2Ja\nb\udcff.wav."), monkeypatch)
    assert capfd.readouterr().err == "error: There is no clip \\x1b[2Ja\\nb\\udcff.wav.\n"


def test_an_error_without_a_mend_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(ChorusError("So it is."), monkeypatch) == 1
    assert capfd.readouterr().err == "error: So it is.\n"


def test_a_path_that_cannot_be_used_is_a_sentence_wherever_it_is_met(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match="File name too long") as met:
        Path("n" * 300).exists()
    assert run(met.value, monkeypatch) == 14
    sentence = f"error: Cannot use {'n' * 300}: File name too long.\nGive another place.\n"
    assert capfd.readouterr().err == sentence
    with pytest.raises(OSError, match="of ours"):
        run(OSError("of ours"), monkeypatch)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (PermissionError(13, "Permission denied", "/x"), "Let this user read and write it, or "),
        (FileNotFoundError(2, "No such file", "/x"), "Look whether it and its folder are there"),
    ],
)
def test_what_to_do_about_a_path_is_said_by_what_is_wrong_with_it(
    error: OSError, remedy: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(error, monkeypatch) == 14
    assert remedy in capfd.readouterr().err


@pytest.mark.parametrize("words", ["--help", "examples list"])
def test_output_that_finds_no_room_is_a_sentence(words: str, tmp_path: Path) -> None:
    line = [str(Path(sys.executable).with_name("edge-client")), *words.split()]
    if words != "--help":
        line += ["--state", str(tmp_path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 14, done.stderr
    assert done.stderr == (
        "error: The disk has failed, or is full: No space left on device.\n"
        "Look at where the output goes, and at the disk.\n"
    )


def test_an_empty_home_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    run(None, monkeypatch)
    assert Path.home() != Path("/")


def test_ctrl_c_has_the_shells_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(KeyboardInterrupt(), monkeypatch) == command.INTERRUPTED


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run(ZeroDivisionError(), monkeypatch)


def test_a_reader_that_went_away_leaves_no_traceback(tmp_path: Path) -> None:
    script = tmp_path / "many.py"
    script.write_text(
        textwrap.dedent("""
            import typer
            from shared import command
            app = typer.Typer(pretty_exceptions_enable=False)
            @app.command()
            def main() -> None:
                for number in range(100_000):
                    print(number)
            command.run(app)
        """)
    )
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1
    process.stderr.close()


def test_what_the_caller_has_closed_leads_nowhere(tmp_path: Path) -> None:
    script, kept = tmp_path / "writes.py", tmp_path / "kept"
    script.write_text(
        textwrap.dedent("""
            import os
            import sys
            import typer
            from shared import command
            app = typer.Typer(pretty_exceptions_enable=False)
            @app.command()
            def main(path: str) -> None:
                with open(path, "wb") as file:
                    sys.stdout.write(sys.stdin.read() + "an answer")
                    os.write(2, b"what a library says")
                    file.write(b"kept")
            command.run(app)
        """)
    )
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    line = [*closing, sys.executable, str(script), str(kept)]
    done = subprocess.run(line, env={"PYTHONPATH": str(Path(__file__).parents[3])}, check=False)
    assert done.returncode == 0
    assert kept.read_bytes() == b"kept"


def test_progress_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    command.progress_console().print("a third of it")
    assert capfd.readouterr() == ("", "a third of it\n")


def test_what_is_no_text_is_printed_all_the_same(tmp_path: Path) -> None:
    script = tmp_path / "odd.py"
    script.write_text(
        "import typer\nfrom shared import command\napp = typer.Typer()\n"
        "@app.command()\ndef main() -> None:\n    typer.echo('m\\udcfcll')\ncommand.run(app)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.stdout == "m\\udcfcll\n"


@pytest.mark.parametrize("program", ["edge_client", "aggregator"])
def test_help_of_a_program_loads_no_command_and_that_of_one_no_other(program: str) -> None:
    script = f"""
        import sys
        from {program}.cli import COMMANDS, app
        def loaded():
            return [name for name, at in COMMANDS.items() if at.split(":")[0] in sys.modules]
        app(["--help"], standalone_mode=False)
        assert loaded() == [], loaded()
        app(["status", "--help"], standalone_mode=False)
        assert loaded() == ["status"], loaded()
        assert "pydantic" in sys.modules
        for name in COMMANDS:
            app([name, "--help"], standalone_mode=False)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True)


def test_the_help_of_a_group_has_the_first_lines_of_its_commands() -> None:
    listed = CliRunner().invoke(edge_client.cli.app, ["--help"], terminal_width=200).output
    for name, place in edge_client.cli.COMMANDS.items():
        module, _, attribute = place.partition(":")
        command_ = getattr(importlib.import_module(module), attribute)
        text = command_.info.help if isinstance(command_, typer.Typer) else command_.__doc__
        first = " ".join(str(text).split("\n\n")[0].split())
        assert f"{name} {first}" in " ".join(re.sub("[│╭╮╰╯─]", " ", listed).split())


def test_a_misspelt_command_is_told_apart_from_its_like() -> None:
    done = CliRunner().invoke(edge_client.cli.app, ["simulat"])
    assert done.exit_code == 2
    assert "Did you mean 'simulate'?" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["simulate", "--rounds", "abc"], "Invalid value for '--rounds': it should be a whole"),
        (["simulate", "--learning-rate", "x"], "'--learning-rate': it should be a number."),
        (["experiment", "one", "--seeds", "0"], "'--seeds': it should be at least 1."),
    ],
)
def test_a_value_that_is_no_such_thing_is_said_in_our_words(
    arguments: list[str], said: str
) -> None:
    done = CliRunner().invoke(edge_client.cli.app, arguments, terminal_width=200)
    assert done.exit_code == 2
    assert said in " ".join(re.sub("[│╭╮╰╯─]", " ", done.output).split())


@pytest.mark.parametrize(
    "words", [["home-assistant", "remove"], ["run"], ["simulate"], ["status"]], ids=" ".join
)
@pytest.mark.parametrize("columns", [80, 200])
def test_the_help_cuts_no_option_in_a_terminal_of_80_columns(
    words: list[str], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = CliRunner().invoke(edge_client.cli.app, [*words, "--help"]).output
    assert shown.strip()
    assert not re.findall(r"-\w*…", shown)
    assert max(map(len, shown.splitlines())) <= columns

"""What docs/deploy.md tells to type, for tests that follow it."""

import re
import shlex
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "deploy.md").read_text()


def lines_of(text: str) -> list[str]:
    """List the lines that a text of the page tells to type; one that goes on is one."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace("\\\n", "").splitlines()]


def words_after(line: str, program: str) -> list[str]:
    words = shlex.split(line, comments=True)
    (place,) = (number for number, word in enumerate(words) if Path(word).name == program)
    return words[place + 1 :]


def part(heading: str) -> str:
    """Give what stands below a heading, up to the next one."""
    (found,) = re.findall(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE
    )
    return str(found)


def recipe(heading: str, program: str) -> list[list[str]]:
    """Give the words of each of our commands that a part of the page tells to type."""
    lines = [line for line in lines_of(part(heading)) if f"bin/{program} " in line]
    return [words_after(line, program) for line in lines]

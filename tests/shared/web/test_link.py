import re

import pytest
import segno

from shared.web.link import link, qr_code


@pytest.mark.parametrize(
    ("host", "start"),
    [
        ("127.0.0.1", "http://127.0.0.1:8765/?"),
        ("::1", "http://[::1]:8765/?"),
        ("kitchen-pi.local", "http://kitchen-pi.local:8765/?"),
    ],
)
def test_link_names_the_host(host: str, start: str) -> None:
    assert link(host, 8765, "ab").startswith(start)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - what is under test
def test_link_to_everywhere_can_be_followed_from_elsewhere(host: str) -> None:
    assert not re.search(r"//(0\.0\.0\.0|\[::\]|127\.)", link(host, 8765, "ab"))


def test_token_is_escaped() -> None:
    assert link("::1", 1, "a&b=c/d é").endswith("/?token=a%26b%3Dc%2Fd%20%C3%A9")


def test_qr_code_shows_every_module() -> None:
    text = "http://192.168.1.7:8765/?token=MTIzNDU2Nzg5MDEyMzQ1Ng"
    code = segno.make_qr(text, error="l")
    expected = [[bool(module) for module in row] for row in code.matrix_iter(border=2)]
    halves = {" ": (1, 1), "▀": (0, 1), "▄": (1, 0), "█": (0, 0)}
    drawn = [
        [bool(halves[character][half]) for character in line]
        for line in re.sub(r"\x1b\[[0-9;]*m", "", qr_code(text)).splitlines()
        for half in (0, 1)
    ]
    assert drawn[: len(expected)] == expected

"""Standard error, kept free of what C libraries write there by themselves."""

import os

import pytest

from shared.standard_error import hushed


def test_quiet_lasts_until_the_last_who_wants_it_has_enough(
    capfd: pytest.CaptureFixture[str],
) -> None:
    first, second = hushed(), hushed()
    for step in (first.__enter__, second.__enter__):
        step()
        os.write(2, b"Expression failed\n")
    first.__exit__(None, None, None)
    os.write(2, b"Expression failed\n")
    second.__exit__(None, None, None)
    os.write(2, b"said\n")
    assert capfd.readouterr().err == "said\n"

"""Variables of the environment: each program's own prefix, old names, misspelt ones."""

import pytest

from shared.environment import read_environment, remark_once

NAMES = ("state", "clients_per_round", "password_file")


@pytest.fixture(autouse=True)
def _new_process() -> None:
    """Say again what was said before."""
    remark_once.cache_clear()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_each_program_has_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for program in ("EDGE", "AGGREGATOR"):
        for name in NAMES:
            monkeypatch.setenv(f"CHORUS_{program}_{name.upper()}", program)
    assert read_environment(NAMES, "CHORUS_EDGE_") == dict.fromkeys(NAMES, "EDGE")
    assert read_environment(NAMES, "CHORUS_AGGREGATOR_") == dict.fromkeys(NAMES, "AGGREGATOR")
    assert said(caplog) == []


def test_the_old_name_is_both_programs_and_is_remarked_on_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CHORUS_STATE", "/old")
    for _ in range(2):
        assert read_environment(NAMES, "CHORUS_EDGE_") == {"state": "/old"}
    assert read_environment(NAMES, "CHORUS_AGGREGATOR_") == {"state": "/old"}
    first, second = said(caplog)
    assert "CHORUS_STATE is CHORUS_EDGE_STATE" in first
    assert "CHORUS_STATE is CHORUS_AGGREGATOR_STATE" in second
    monkeypatch.setenv("CHORUS_EDGE_STATE", "/new")
    assert read_environment(NAMES, "CHORUS_EDGE_") == {"state": "/new"}


def test_an_empty_one_is_not_given(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CHORUS_STATE", "")
    monkeypatch.setenv("CHORUS_EDGE_PASSWORD_FILE", "")
    monkeypatch.setenv("CHORUS_PASSWORD_FILE", "/old")
    assert read_environment(NAMES, "CHORUS_EDGE_") == {"password_file": "/old"}
    assert len(said(caplog)) == 1


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CHORUS_EDGE_STAET", "CHORUS_EDGE_STATE"),
        ("CHORUS_STAET", "CHORUS_EDGE_STATE"),
        ("CHORUS_EGDE_STATE", "CHORUS_EDGE_STATE"),
        ("CHORUS_EDGE_PASSWORD_FILES", "CHORUS_EDGE_PASSWORD_FILE"),
    ],
)
def test_a_misspelt_one_is_remarked_on(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, "x")
    assert read_environment(NAMES, "CHORUS_EDGE_") == {}
    assert said(caplog) == [
        f"The environment variable {variable} is not known here; is {meant} meant?"
    ]


@pytest.mark.parametrize(
    "variable", ["CHORUS_CACHE", "CHORUS_EDGE_RATE", "CHORUS_AGGREGATOR_STAET", "CHORUS", "STAET"]
)
def test_others_are_left_alone(
    variable: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, "x")
    assert read_environment(NAMES, "CHORUS_EDGE_") == {}
    assert said(caplog) == []

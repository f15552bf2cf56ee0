"""What is shown of a federation while it is served."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from aggregator.server.screen import Screen, ended, look
from tests.aggregator.driver import come, play, put, random_update, settings

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    with Federation(settings(tmp_path, round_seconds=600)) as opened:
        opened.rounds.start(0)
        yield opened


def drawn(screen: Screen) -> str:
    console = Console(file=StringIO(), width=120)
    console.print(screen.view())
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_it_says_who_is_waited_for(federation: Federation) -> None:
    assert look(federation, 0).waiting == "Round 1 waits for 2 clients, none is ready to train."
    come(federation, ["anna"])
    assert look(federation, 0).waiting == "Round 1 waits for 2 clients, 1 is ready to train."
    come(federation, ["ben"])
    assert look(federation, 0).waiting == ""
    put(federation, 1, random_update("anna", 1))
    federation.rounds.present.leave("anna")
    assert look(federation, 0).waiting == "", "the one that has not answered is there"
    federation.rounds.present.leave("ben")
    assert look(federation, 0).waiting == (
        "Round 1 waits for 1 update, but no client is ready to train; at its deadline it goes on "
        "without them."
    )


def test_it_says_what_becomes_of_a_round_that_nobody_answers(federation: Federation) -> None:
    opened = come(federation, ["anna", "ben"])
    assert opened
    for name in opened.invited:
        federation.rounds.present.leave(name)
    assert look(federation, 0).waiting == (
        "Round 1 waits for 2 updates, but no client is ready to train; at its deadline it invites "
        "others and waits on, as it needs 1 update."
    )
    assert federation.rounds.tick(600) is None
    state = look(federation, 600)
    assert (state.phase, state.seconds) == ("open", 600), "so it does"
    secure = replace(state, least=0).waiting
    assert secure.endswith("; its stages end without them, and with too few it is abandoned.")


def test_it_says_that_it_waits_for_examples_and_then_for_its_time(tmp_path: Path) -> None:
    given = settings(tmp_path, rounds=None, quorum=1, new_examples=5, every=3600)
    with Federation(given) as paced:
        paced.rounds.start(0)
        come(paced, ["anna"])
        said = "Round 1 waits until one client has 5 new labelled examples, 1 is ready to train."
        assert look(paced, 0).waiting == said
        paced.rounds.present.come("anna", news=True)
        opened = paced.rounds.look(0)
        assert isinstance(opened, Opened)
        paced.open_round(opened)
        screen = Screen(paced, Console(), lambda: 60)
        assert re.search(r"│ +1 │ open +│ +0 of 1 │", drawn(screen)), "of no last one"
        play(paced, opened)
        paced.rounds.present.come("anna", news=True)
        state = look(paced, 60)
        assert state.opens_in == 3540
        assert state.seconds is None, "that is no deadline"
        assert re.fullmatch(r"Round 2 opens at \d\d:\d\d on \d{4}-\d\d-\d\d\.", state.waiting)


def test_a_round_that_has_ended_is_told_in_a_sentence(federation: Federation) -> None:
    opened = come(federation, ["anna", "ben"])
    assert opened
    assert ended(federation, 1) is None, "it is open"
    play(federation, opened)
    found = ended(federation, 1)
    assert found
    assert found.line == (
        f"Round 1 is done: 2 updates, {found.bytes / 1e6:.1f} MB, training loss 0.500, "
        "UAR of the model it began with 0.750."
    )
    assert found.bytes == sum(update.bytes for update in federation.ledger.updates(1)) > 0


def test_the_table_has_what_was_and_what_is(federation: Federation) -> None:
    opened = come(federation, ["anna", "ben"])
    assert opened
    play(federation, opened)
    put(federation, 2, random_update("anna", 2))
    screen = Screen(federation, Console(file=StringIO()), clock=lambda: 7.0)
    lines = drawn(screen).splitlines()
    assert "chorus: conv, fedavg; 2 clients ready" in lines[0]
    (first,) = [line for line in lines if "done" in line]
    assert "2 of 2" in first
    assert "0.750" in first
    (second,) = [line for line in lines if "open" in line]
    assert "2 of 3" in second
    assert "1 of 2" in second
    assert "9:53 left" in second


def test_plain_lines_go_to_the_foot_and_others_stay_lines(federation: Federation) -> None:
    screen = Screen(federation, Console(file=StringIO()))
    said = logging.LogRecord("aggregator", logging.INFO, "", 0, "Connected to %s.", ("it",), None)
    bad = logging.LogRecord("aggregator", logging.WARNING, "", 0, "A disk is full.", (), None)
    assert not screen.filter(said)
    assert screen.filter(bad)
    assert "Connected to it." in drawn(screen)
    assert "A disk is full." not in drawn(screen)

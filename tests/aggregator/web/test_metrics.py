"""The figures that Prometheus collects, and what is made of them in ``deploy/``."""

import json
import re
import shutil
import subprocess
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aggregator.enrolment.invitations import revoke
from aggregator.enrolment.members import Members
from aggregator.ledger import History
from aggregator.rounds.federation import Federation
from aggregator.server.screen import look
from aggregator.settings import AggregatorSettings
from aggregator.web.metrics import Metrics
from aggregator.web.overview import Overview
from tests.aggregator.web.conftest import Serve, Served
from tests.aggregator.web.staged import HOUR, enrol, settings_of, stage
from tests.clock import Clock
from tests.shared.web.client import Answer, Client

DEPLOY = Path(__file__).parents[3] / "deploy" / "prometheus"


def ask(served: Served) -> Answer:
    """Ask as Prometheus does: with the token, and without a cookie."""
    token = (served.federation.folder.path / "token").read_text()
    return Client(served.server).ask("GET", "/metrics", Authorization=f"Bearer {token}")


def samples(served: Served) -> dict[tuple[str, ...], float]:
    """Read all figures, by their names and the values of their labels."""
    answer = ask(served)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_the_figures_are_those_of_the_ledger(served: Served) -> None:
    found = samples(served)
    assert found["chorus_round",] == 12
    assert found["chorus_phase", "open"] == 1
    assert found["chorus_phase", "waiting"] == 0
    assert found["chorus_round_updates",] == 2
    assert found["chorus_round_updates_wanted",] == 4
    assert found["chorus_rounds_total", "done"] == 11
    assert found["chorus_updates_total", "int8"] == 46
    assert found["chorus_refusals_total",] == 1
    assert found["chorus_devices", "known"] == 5
    assert found["chorus_devices", "present"] == 4
    assert found["chorus_devices", "ready"] == 3
    assert found["chorus_devices", "away_a_day"] == 1
    assert found["chorus_newest_loss",] == pytest.approx(0.408, abs=0.001)
    assert found["chorus_disk_free_bytes",] > 0
    assert found["process_resident_memory_bytes",] > 0


@pytest.mark.parametrize(
    ("values", "times"), [({}, 1), ({"secure": True, "by_invitation": True}, 5)]
)
def test_a_round_is_as_long_as_all_its_stages(
    tmp_path: Path, values: dict[str, Any], times: int
) -> None:
    given = AggregatorSettings.parse(
        {"state": tmp_path, "quorum": 3, "round_seconds": 600, **values}
    )
    with Federation(given) as federation, closing(History(federation.folder.ledger)) as history:
        told = Metrics(Overview(history), partial(look, federation, 0.0), tmp_path).text().decode()
    assert f"chorus_round_longest_seconds {600.0 * times}" in told


def test_who_was_shut_out_is_not_missed(serve_staged: Serve) -> None:
    served = serve_staged(before=partial(enrol, names=("kitchen", "attic")), by_invitation=True)
    assert samples(served)["chorus_devices", "away_a_day"] == 1, "attic"
    with Members(served.federation.folder.members) as members:
        revoke(members, "attic")
    assert samples(served)["chorus_devices", "away_a_day"] == 0
    assert samples(served)["chorus_devices", "known"] == 5


@pytest.mark.parametrize(("days", "missed"), [(0.9, 0), (1.1, 1), (29, 1), (31, 0)])
def test_where_devices_do_not_join_one_is_missed_for_a_month(
    tmp_path: Path, days: float, missed: int
) -> None:
    stage(tmp_path, 1, 1)
    clock = Clock(time.time())
    with Federation(settings_of(tmp_path, 1), clock=clock) as federation:
        federation.ledger.see("kitchen", present=False)
        federation.ledger.flush()
        clock.now += days * 24 * HOUR
        with closing(History(federation.folder.ledger)) as history:
            standing = partial(look, federation, 0.0)
            metrics = Metrics(Overview(history), standing, tmp_path, clock=clock)
            told = metrics.text().decode()
    assert f'chorus_devices{{state="away_a_day"}} {missed}.0' in told


def test_no_label_is_a_device(served: Served) -> None:
    assert "kitchen" not in ask(served).body.decode()


def test_devices_are_told_of_when_asked_for(serve_staged: Serve) -> None:
    served = serve_staged(name_devices=True)
    served.federation.ledger.see("zoe", present=True)
    served.federation.ledger.flush()
    found = samples(served)
    assert found["chorus_device_examples", "kitchen"] == 12
    assert ("chorus_device_examples", "zoe") not in found, "nobody knows, as in secure rounds"
    assert 0 < found["chorus_device_uar", "kitchen"] <= 1


def test_the_figures_are_for_those_who_have_the_token(served: Served) -> None:
    client = Client(served.server)
    assert client.ask("GET", "/metrics").status == 401
    assert client.ask("GET", "/metrics", Authorization="Bearer wrong-wrong-wrong").status == 401
    assert client.ask("POST", "/do/rollback", b"{}", Authorization="Bearer x").status == 401
    assert client.enter().ask("GET", "/metrics").status == 200


def _names(served: Served) -> set[str]:
    return {name for name, *_ in samples(served)}


def test_the_rules_and_the_board_ask_for_figures_that_there_are(
    serve_staged: Serve,
) -> None:
    names = _names(serve_staged(name_devices=True))
    rules = (DEPLOY / "rules.yml").read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    board = json.loads((DEPLOY / "board.json").read_text())
    asked = re.findall(r"expr: (.+)", rules)
    assert len(asked) == len(alerts) > 3
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for expression in asked:
        used = set(re.findall(r"\b(?:chorus|process)_\w+", expression))
        assert used or "up{" in expression, expression
        assert used <= names | {"chorus_newest_validation"}, expression  # needs a corpus
    documents = (DEPLOY.parents[1] / "docs" / "operator.md").read_text()
    assert all(name in documents for name in alerts)


def test_prometheus_takes_the_rules() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing (apt-get install prometheus)")
    subprocess.run(["promtool", "check", "rules", DEPLOY / "rules.yml"], check=True)
    subprocess.run(["promtool", "test", "rules", DEPLOY / "rules-test.yml"], check=True)

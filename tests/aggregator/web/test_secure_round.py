"""A secure round on the operator's page: its stage, and who is missing there."""

import json
import shutil
from pathlib import Path

import pytest

from aggregator.rounds.secure_rounds import SecureRounds
from aggregator.secure.journal import Journal
from shared.secure.terms import Stage
from tests.aggregator.web.conftest import Served
from tests.aggregator.web.test_page import HOSTILE
from tests.browser import DESKTOP, PHONE, Open, text
from tests.secure_rounds import Federation, names


def journal_of(served: Served) -> Path:
    """Let the open round be a secure one; say where its journal is."""
    federation = served.federation
    secure = federation.settings.model_copy(update={"secure": True})
    federation.secure = SecureRounds(secure, federation.folder, federation.files)
    path = federation.folder.secure_round(federation.rounds.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_its_stage_and_who_is_missing_are_shown_as_it_goes_on(
    open_page: Open, served: Served, tmp_path: Path, screen: dict[str, bool]
) -> None:
    it, journal = Federation(tmp_path, 8), journal_of(served)
    page = open_page(served.server.address, **screen)
    for stage in (Stage.KEYS, Stage.MASKED):
        it.run(until=stage)
        for name in names(2):
            it.round.take(name, it.answer(name, stage, it.asked(name)))
        shutil.copy(tmp_path / "journal", journal)
        asked = {
            Stage.KEYS: "Stage 1 of 5: it asks for keys",
            Stage.MASKED: "Stage 3 of 5: it asks",
        }
        text(page, "#waiting", asked[stage])
        said = page.inner_text("#waiting")
        assert said.endswith(
            "; missing: device-02, device-03, device-04, device-05, device-06 and 1 more."
        )
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    journal.unlink()
    page.wait_for_selector("#waiting:empty", state="attached")


def test_names_in_it_are_shown_as_they_are(open_page: Open, served: Served) -> None:
    kept = Journal(journal_of(served))
    kept.append("", json.dumps({"members": [HOSTILE]}).encode())
    kept.close()
    page = open_page(served.server.address, **PHONE)
    text(page, "#waiting", f"missing: {HOSTILE}")
    assert page.locator("#waiting *").count() == 0

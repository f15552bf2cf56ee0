"""A device's own terms."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from edge_client.commands.overview import overview, overview_table
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.federation.settings import FederationSettings
from edge_client.federation.taking_part import as_member
from edge_client.federation.terms import TermsSettings
from shared.errors import SettingsError
from shared.protocol.privacy_offer import PrivacyOffer
from shared.protocol.secure_offer import SecureOffer
from shared.training import TrainingSettings
from tests.edge_client.federation.alone import Alone, offers_of
from tests.edge_client.federation.announcements import model_of


def test_one_step_on_one_example_is_outside_of_the_terms_of_every_device() -> None:
    terms = TermsSettings()
    assert terms.fewest_examples > 1
    assert terms.objection(TrainingSettings(batch_size=1, steps=1), 20)
    assert terms.objection(TrainingSettings(), 20) is None, "the defaults of both sides agree"


def test_what_is_told_of_examples_has_an_upper_end() -> None:
    assert TermsSettings(most_counted=10).told(8) == 8
    assert TermsSettings(most_counted=10).told(80) == 10
    assert TermsSettings().told(80) == 80


def test_only_a_federation_it_has_joined_will_do_if_its_terms_say_so(tmp_path: Path) -> None:
    settings = FederationSettings(terms=TermsSettings(signed=True))
    with pytest.raises(SettingsError, match="has not joined the federation chorus") as caught:
        as_member(settings, DeviceFolder(tmp_path))
    assert "aggregator invite" in caught.value.remedy


def test_terms_stand_in_a_table_of_their_own() -> None:
    values = {"terms": {"fewest_examples": 30, "signed": True}}
    terms = FederationSettings.parse(values).terms
    assert (terms.fewest_examples, terms.smallest_batch, terms.signed) == (30, 4, True)


def test_a_device_that_wants_secure_rounds_trains_in_no_other() -> None:
    secure = SecureOffer(bits=13, examples=100, octaves=[], fewest=3, devices={})
    terms = TermsSettings(secure_only=True)
    assert "ask for secure rounds" in (terms.objection(TrainingSettings(), 20) or "")
    assert terms.objection(TrainingSettings(), 20, secure) is None
    assert TermsSettings().objection(TrainingSettings(), 20, secure) is None


def test_a_device_trains_only_where_the_sum_is_of_enough_others() -> None:
    secure = SecureOffer(bits=13, examples=100, octaves=[], fewest=4, devices={})
    assert TermsSettings(fewest_others=3).objection(TrainingSettings(), 20, secure) is None
    said = TermsSettings(fewest_others=4).objection(TrainingSettings(), 20, secure)
    assert said == (
        "the sum of a secure round may be of 4 devices, and this device's terms ask for 4 others "
        "or more"
    )


def budget(epsilon: float, delta: float = 1e-5) -> PrivacyOffer:
    return PrivacyOffer(epsilon=epsilon, delta=delta, rounds=9, noise_by="aggregator")


@pytest.mark.parametrize(
    ("privacy", "said"),
    [
        (budget(2), None),
        (budget(4), None),
        (None, "the federation states no privacy budget, and"),
        (budget(8), "privacy budget is an epsilon of 8 with a delta of 1e-05, and"),
        (budget(1, 0.1), "privacy budget is an epsilon of 1 with a delta of 0.1, and"),
    ],
)
def test_a_device_trains_only_within_the_budget_that_its_terms_ask_for(
    privacy: PrivacyOffer | None, said: str | None
) -> None:
    objection = TermsSettings(most_epsilon=4).objection(TrainingSettings(), 20, None, privacy)
    if said is None:
        assert objection is None
    else:
        asked = "this device's terms ask for an epsilon of 4 or less with a delta of 1e-05 or less"
        assert said in (objection or "")
        assert asked in (objection or "")
    assert TermsSettings().objection(TrainingSettings(), 20, None, privacy) is None


def test_a_delta_alone_asks_for_nothing() -> None:
    with pytest.raises(SettingsError, match="give most_epsilon, too"):
        TermsSettings.parse({"most_delta": 1e-6})


@pytest.mark.usefixtures("tiny")
def test_what_its_terms_do_not_allow_is_said_on_its_screens_and_in_its_status(
    tmp_path: Path,
) -> None:
    folder = DeviceFolder(tmp_path).federations / "chorus"
    it = Alone(folder, terms={"most_epsilon": 4})
    model = model_of(folder)
    it.play(it.connection.connect, it.announce(model, privacy=budget(8)))
    sentence = (
        "This device takes part in no round now: the federation's privacy budget is an epsilon of 8"
    )
    assert it.reports[-1]["remark"].startswith(sentence)
    assert it.reports[-1]["budget"]["epsilon"] == 8
    assert not offers_of(it)
    console = Console(file=StringIO(), width=1000)
    console.print(overview_table(overview(DeviceSettings(state=tmp_path))))
    assert isinstance(console.file, StringIO)
    status = console.file.getvalue()
    assert sentence in status
    assert "privacy budget: epsilon 8 with delta 1e-05 for all 9 rounds; the aggregator" in status

    allowed = Alone(folder, terms={"most_epsilon": 8})
    allowed.play(allowed.connection.connect, allowed.announce(model, privacy=budget(8)))
    assert offers_of(allowed)

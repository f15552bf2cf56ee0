"""A device's own terms."""

from pathlib import Path

import pytest

from edge_client.device.state import DeviceFolder
from edge_client.federation.settings import FederationSettings
from edge_client.federation.taking_part import as_member
from edge_client.federation.terms import TermsSettings
from shared.errors import SettingsError
from shared.protocol.secure_offer import SecureOffer
from shared.training import TrainingSettings


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

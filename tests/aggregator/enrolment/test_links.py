"""Links that cannot be made."""

from pathlib import Path

import pytest

from aggregator.enrolment.links import link_for
from aggregator.enrolment.members import Members
from aggregator.ledger.folder import FederationFolder
from shared.errors import TrustError


def test_a_federation_whose_start_was_broken_off_invites_nobody(tmp_path: Path) -> None:
    folder = FederationFolder(tmp_path)
    Members(folder.members).close()
    with pytest.raises(TrustError, match="There is no federation by invitation"):
        link_for(folder, "attic", hours=1.0, again=False, address=None)

"""What statistics begin with travels with the model."""

from pathlib import Path

import numpy as np

from shared.features.prior import Prior, save_prior
from shared.randomness import stream
from shared.starter import beside
from shared.task import DEFAULT_TASK
from shared.weights import initial_weights, save_weights
from tests.edge_client.tiny import TINY
from tests.end_to_end.federation.world import CLIENTS, SETTINGS, VARIANTS, simulated, world


def test_clients_that_have_nothing_get_what_statistics_begin_with(tmp_path: Path) -> None:
    initial = tmp_path / "initial.safetensors"
    save_weights(initial, initial_weights(TINY, stream(SETTINGS["seed"], "initial weights")), TINY)
    prior = beside(initial, "prior")
    save_prior(prior, Prior(np.zeros(34), np.ones(34), 4), DEFAULT_TASK)
    served, same = VARIANTS["by invitation"]
    with world(initial=initial, **served) as it:
        it.settle(
            until=lambda: it.server and len(it.server.federation.ledger.updates(1)) == CLIENTS
        )
        assert it.server
        digest = it.server.federation.current.statistics
        assert digest
        for number, client in it.clients.items():
            found = client.participant._client_state.path(digest)
            assert found.read_bytes() == prior.read_bytes(), number
        it.settle()
        it.check(simulated(**same))
        assert it.server.federation.current.statistics == digest

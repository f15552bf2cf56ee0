"""Models that travel down as differences."""

import numpy as np
import pytest

from aggregator.strategies.download import Download
from aggregator.strategies.fedavgm import FedAvgM
from shared.codecs import make_codec
from shared.randomness import stream
from shared.weights import Weights
from tests.edge_client.tiny import TINY


def some(number: int) -> Weights:
    return stream(7, number).standard_normal(TINY.parameters, np.float32)


def test_unless_a_codec_is_given_the_computed_model_is_the_published_one() -> None:
    download, computed = Download(), some(1)
    published, difference = download.publish(some(0), computed, TINY, stream(0))
    assert published is computed
    assert difference is None
    assert download.memory == {}


@pytest.mark.parametrize("codec", ["float16", "int8"])
def test_the_published_model_is_the_one_before_and_the_difference_as_it_is_read(
    codec: str,
) -> None:
    download, before, computed = Download(make_codec(codec)), some(0), some(1)
    published, difference = download.publish(before, computed.copy(), TINY, stream(0))
    assert difference
    assert published.tobytes() == (before + difference.delta[:]).tobytes()
    lost = download.memory["download_residual"]
    np.testing.assert_allclose(published + lost, computed, atol=1e-6)
    assert 0 < np.abs(lost).max() < 0.1


@pytest.mark.parametrize("codec", [None, "float16", "int8"])
def test_a_strategy_that_computes_the_same_model_harms_nothing(codec: str | None) -> None:
    download, before = Download(make_codec(codec) if codec else None), some(0)
    kept = before.copy()
    published, _ = download.publish(before, before, TINY, stream(0))
    assert published.tobytes() == before.tobytes() == kept.tobytes()


def test_what_is_lost_comes_with_the_next_difference() -> None:
    download, published = Download(make_codec("int8")), some(0)
    goal = some(1)
    for number in range(6):
        # The strategy wants to go to the same model each time.
        published, _ = download.publish(published, goal.copy(), TINY, stream(0, number))
        lost = np.abs(download.memory["download_residual"]).max()
    assert lost < 1e-4
    np.testing.assert_allclose(published, goal, atol=1e-3)


def test_a_strategy_remembers_what_was_lost_and_takes_it_back() -> None:
    first, second = FedAvgM(server_momentum=0.5), FedAvgM(server_momentum=0.5)
    for strategy in (first, second):
        strategy.download = Download(make_codec("int8"))
    first.download.publish(some(0), some(1), TINY, stream(0))
    assert first.state().keys() == {"download_residual"}
    second.restore(first.state())
    ends = [each.download.publish(some(2), some(3), TINY, stream(1))[0] for each in (first, second)]
    assert ends[0].tobytes() == ends[1].tobytes()

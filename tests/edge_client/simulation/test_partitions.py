from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_client.simulation.partitions import PARTITIONS, TrainingSet, partition
from shared.errors import SettingsError
from shared.task import DEFAULT_TASK

every_partition = pytest.mark.parametrize("name", list(PARTITIONS))


class Corpus(NamedTuple):
    labels: NDArray[np.int32]
    speakers: NDArray[np.str_]

    def divide(
        self, name: str, clients: int, seed: int = 0, **options: Any
    ) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng(seed)
        names = DEFAULT_TASK.names
        return partition(
            name, self.labels, self.speakers, names=names, clients=clients, rng=rng, **options
        )

    def mix(self, where: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(self.labels[where], minlength=4) / len(where)


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    """Draw a corpus with at least four speakers and four examples of every emotion."""
    size = draw(st.integers(16, 120))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    skew = draw(st.sampled_from([(1, 1, 1, 1), (8, 1, 1, 2)]))
    labels = rng.choice(4, size, p=np.array(skew) / sum(skew)).astype(np.int32)
    labels[:16] = np.arange(16) % 4
    speakers = rng.integers(0, draw(st.integers(4, 16)), size)
    speakers[:4] = np.arange(4)
    return Corpus(labels, np.char.add("speaker-", speakers.astype(str)))


PAPER = Corpus(
    np.repeat(np.arange(4, dtype=np.int32), [993, 1472, 1537, 976]),
    np.char.add("Ses0", (np.arange(4978) % 10).astype(str)),
)
"""As many of each emotion as the paper trains on."""


@every_partition
@settings(deadline=None)
@given(corpus=corpora(), clients=st.integers(4, 16), seed=st.integers(0, 99))
def test_everything_is_given_away_once(name: str, corpus: Corpus, clients: int, seed: int) -> None:
    if name == "speaker":
        clients = min(clients, len(np.unique(corpus.speakers)))
    parts = corpus.divide(name, clients, seed)
    assert len(parts) == clients
    assert all(len(part) and (np.diff(part) > 0).all() for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(corpus.labels)))
    again = corpus.divide(name, clients, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert {part.dtype for part in parts} == {np.dtype(np.int64)}


@every_partition
@settings(deadline=None)
@given(corpus=corpora(), alpha=st.sampled_from([1e-6, 0.01, 0.5, 100, 1e6]))
def test_a_federation_of_one_and_a_cap(name: str, corpus: Corpus, alpha: float) -> None:
    (part,) = corpus.divide(name, 1, alpha=alpha)
    whole = 4 if name == "single-emotion" else len(corpus.labels)
    assert len(part) >= whole
    for part in corpus.divide(name, 4, alpha=alpha, examples_per_client=3):
        assert 1 <= len(set(part.tolist())) == len(part) <= 3


@pytest.mark.parametrize("name", ["random", "dirichlet"])
@settings(deadline=None)
@given(corpus=corpora(), clients=st.integers(1, 16))
def test_equal_sizes(name: str, corpus: Corpus, clients: int) -> None:
    sizes = [len(part) for part in corpus.divide(name, clients)]
    assert max(sizes) - min(sizes) <= 1


def test_samples_of_the_paper_overlap() -> None:
    parts = PAPER.divide("random", 5, examples_per_client=800)
    assert [len(set(part.tolist())) for part in parts] == [800] * 5
    assert np.intersect1d(parts[0], parts[1]).size
    (whole,) = PAPER.divide("random", 1, examples_per_client=5000)
    assert np.array_equal(whole, np.arange(4978)), "there are no more"
    more = PAPER.divide("random", 8, examples_per_client=800)
    assert all(np.array_equal(a, b) for a, b in zip(parts, more, strict=False))
    many = PAPER.divide("random", 6000, examples_per_client=2)
    assert {len(set(part.tolist())) for part in many} == {2}, "more clients than there are examples"


def test_clients_may_draw_their_mixes_and_be_more_than_there_are_examples() -> None:
    parts = PAPER.divide("dirichlet", 6000, alpha=0.05, examples_per_client=20)
    assert {len(set(part.tolist())) for part in parts} == {20}
    assert np.median([PAPER.mix(part).max() for part in parts]) > 0.9
    whole = PAPER.mix(np.arange(len(PAPER.labels)))
    mean = np.mean([PAPER.mix(part) for part in parts], axis=0)
    assert np.abs(mean - whole).max() < 0.03, "all together they have the mix of the whole"
    even = PAPER.divide("dirichlet", 50, alpha=1e6, examples_per_client=800)
    assert max(np.abs(PAPER.mix(part) - whole).max() for part in even) < 0.06
    fewer = PAPER.divide("dirichlet", 5, alpha=0.05, examples_per_client=20)
    assert all(np.array_equal(a, b) for a, b in zip(fewer, parts, strict=False))
    (every,) = PAPER.divide("dirichlet", 1, examples_per_client=5000)
    assert np.array_equal(every, np.arange(4978)), "there are no more"
    (last,) = PAPER.divide("dirichlet", 1, alpha=1e-6, examples_per_client=2000)
    assert len(set(last.tolist())) == 2000, "a label that runs out is made up by others"


def test_single_emotion_of_the_paper() -> None:
    parts = PAPER.divide("single-emotion", 4, examples_per_client=900)
    assert [np.bincount(PAPER.labels[part], minlength=4).tolist() for part in parts] == [
        [900, 0, 0, 0],
        [0, 900, 0, 0],
        [0, 0, 900, 0],
        [0, 0, 0, 900],
    ]


@settings(deadline=None)
@given(corpus=corpora(), clients=st.integers(1, 16))
def test_single_emotion_divides_an_emotion_evenly(corpus: Corpus, clients: int) -> None:
    parts = corpus.divide("single-emotion", clients)
    for client, part in enumerate(parts):
        assert (corpus.labels[part] == client % 4).all()
        fellows = parts[client % 4 :: 4]
        assert abs(len(part) - len(fellows[0])) <= 1
        assert sum(map(len, fellows)) == (corpus.labels == client % 4).sum()


@settings(deadline=None)
@given(corpus=corpora(), clients=st.integers(1, 4), seed=st.integers(0, 99))
def test_whole_speakers_are_dealt_out_evenly(corpus: Corpus, clients: int, seed: int) -> None:
    parts = corpus.divide("speaker", clients, seed)
    held = [set(corpus.speakers[part].tolist()) for part in parts]
    sizes = [len(speakers) for speakers in held]
    assert sum(sizes) == len(set.union(*held)) == len(np.unique(corpus.speakers))
    assert max(sizes) - min(sizes) <= 1


def test_small_alpha_is_skewed_and_large_is_even() -> None:
    whole = PAPER.mix(np.arange(len(PAPER.labels)))
    skewed = [PAPER.mix(part).max() for part in PAPER.divide("dirichlet", 20, alpha=0.05)]
    assert np.median(skewed) > 0.9
    even = [PAPER.mix(part) for part in PAPER.divide("dirichlet", 20, alpha=1e6)]
    # The last clients have to take what is left.
    assert np.median(np.abs(np.array(even) - whole).max(axis=1)) < 0.08


def test_quantity_differs_in_size_not_in_mix() -> None:
    whole = PAPER.mix(np.arange(len(PAPER.labels)))
    parts = PAPER.divide("quantity", 20, alpha=0.5)
    sizes = [len(part) for part in parts]
    assert max(sizes) > 10 * min(sizes)
    for part in parts:
        # Of each emotion, the next example at most to either side of the exact share.
        assert np.abs(PAPER.mix(part) - whole).max() <= 2 / len(part)
    even = [len(part) for part in PAPER.divide("quantity", 20, alpha=1e6)]
    assert max(even) < 1.4 * min(even)


@pytest.mark.parametrize(
    ("name", "clients", "options", "problem"),
    [
        ("random", 4979, {}, "4978 training examples are not enough for 4979 clients"),
        ("dirichlet", 4979, {}, "4978 training examples are not enough for 4979 clients"),
        ("quantity", 4979, {"examples_per_client": 2}, "are not enough for 4979 clients"),
        ("random", 0, {}, "at least one client"),
        ("random", 4, {"examples_per_client": 0}, "at least one example"),
        ("speaker", 11, {}, "10 speakers in the training examples are not enough for 11 clients"),
        ("single-emotion", 4000, {}, "993 training examples of angry are not enough for the 1000"),
        ("dirichlet", 4, {"alpha": float("nan")}, "alpha should be"),
        ("quantity", 4, {"alpha": 0.0}, "alpha should be"),
        ("shards", 4, {}, "no partition shards"),
    ],
)
def test_impossible_partitions(
    name: str, clients: int, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        PAPER.divide(name, clients, **options)


@every_partition
def test_ten_thousand_clients(name: str) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 48_000).astype(np.int32)
    corpus = Corpus(labels, np.char.add("s", (np.arange(48_000) % 12_000).astype(str)))
    parts = corpus.divide(name, 10_000)
    assert sum(map(len, parts)) == 48_000
    assert min(map(len, parts)) >= 1


def every_third(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Divide as a partition of one's own might."""
    del alpha, rng
    return [np.arange(client, len(whole), 3 * clients)[::-1] for client in range(clients)]


def too_few(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    return every_third(whole, clients, alpha, rng)[1:]


def nothing(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    return [*too_few(whole, clients, alpha, rng), np.empty(0, np.int64)]


def beyond(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    return [part + 1 for part in every_third(whole, clients, alpha, rng)]


def repeated(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    return [np.repeat(part[:3], 9) for part in every_third(whole, clients, alpha, rng)]


def by_nobody() -> None:
    """Take nothing."""


def test_a_partition_of_one_s_own_is_named_by_its_module() -> None:
    parts = PAPER.divide(f"{__name__}:every_third", 4)
    assert [part.tolist() for part in parts] == [list(range(n, 4978, 12)) for n in range(4)]
    assert len(PAPER.divide(f"{__name__}:every_third", 4, examples_per_client=7)[0]) == 7


@pytest.mark.parametrize("most", [None, 2, 5, 100])
def test_a_client_has_an_example_once(most: int | None) -> None:
    parts = PAPER.divide(f"{__name__}:repeated", 4, examples_per_client=most)
    for part in parts:
        assert len(part) == len(set(part.tolist())) == min(3, most or 3)


@pytest.mark.parametrize(
    ("name", "clients", "problem"),
    [
        ("too_few", 4, "made 3 clients, not 4"),
        ("nothing", 4, "gave client 3 no example"),
        ("beyond", 1, "or one that does not exist"),
        (
            "by_nobody",
            4,
            "is not a valid partition: it should take the arguments whole, clients, alpha, rng",
        ),
        ("PAPER", 4, "is not a valid partition: it is a Corpus, and should be a function"),
        ("gone", 4, "cannot be imported"),
    ],
)
def test_one_that_cannot_be_used_is_said(name: str, clients: int, problem: str) -> None:
    corpus = Corpus(PAPER.labels[:16], PAPER.speakers[:16])
    with pytest.raises(SettingsError, match=problem):
        corpus.divide(f"{__name__}:{name}", clients)

"""How a corpus is divided over simulated clients."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import SettingsError
from shared.registry import Registry

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What is known of the examples that are divided.

    Attributes
    ----------
    labels
        Shape ``(n,)``: places among the labels' names.
    speakers
        Who speaks in each, shape ``(n,)``.
    names
        The labels' names.
    """

    labels: NDArray[np.int32]
    speakers: NDArray[np.str_]
    names: Sequence[str]

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)


class Partition(Protocol):
    """Divides examples over clients: ours, or a function of one's own."""

    def __call__(
        self, whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator, /
    ) -> Sequence[Indices]:
        """Give each client the indices of its examples.

        Parameters
        ----------
        whole
            What is divided.
        clients
            Number of clients, not more than there are examples.
        alpha
            How skewed, where that is a question; the setting ``alpha``.
        rng
            Makes all random choices.
        """
        ...


_ALPHA_RANGE: Final = (1e-6, 1e6)
"""Beyond, Dirichlet distributions are not computed faithfully; within, all shapes of use occur."""


def partition(
    name: str,
    labels: NDArray[np.int32],
    speakers: Sequence[str] | NDArray[np.str_],
    *,
    names: Sequence[str],
    clients: int,
    rng: np.random.Generator,
    examples_per_client: int | None = None,
    alpha: float = 0.5,
) -> list[Indices]:
    """Divide examples over clients.

    Every client gets at least one example. Nobody shares an example with another, and all examples
    are given away, but where ``examples_per_client`` is given (see there), and where
    ``single-emotion`` has fewer clients than there are labels.

    Parameters
    ----------
    name
        One of :data:`PARTITIONS`, or ``package.module:function`` (:class:`Partition`).

        ``random``
            Equal numbers of examples (they differ by one at most).
        ``single-emotion``
            Client i holds only one label, of n: ``i mod n``; with more clients than labels, a label
            is divided evenly over its clients. With fewer, the examples of the labels that nobody
            holds are left out.
        ``speaker``
            Whole speakers, dealt out evenly (their numbers differ by one at most).
        ``dirichlet``
            Equal numbers of examples; each client's labels are mixed by its own draw from
            ``Dirichlet(alpha * p)``, with p the mix of the whole (Hsu et al., 2019,
            https://arxiv.org/abs/1909.06335). Where a label runs out, the client takes the
            others in the proportion it has drawn. As sizes are fixed first, no client is empty.
            With ``examples_per_client``, that is each client's size.
        ``quantity``
            The whole's mix of labels, but different numbers of examples: one for each client,
            the others in shares drawn from ``Dirichlet(alpha)``.
    labels
        Shape ``(n,)``: places among the task's labels.
    speakers
        Who speaks in each of the n examples.
    names
        The labels' names.
    clients
        Number of clients.
    rng
        Makes all random choices.
    examples_per_client
        In ``random`` and ``dirichlet``: each client draws this many examples of the whole for
        itself (all, if there are no more), each example at most once; clients may then share
        examples, as in Chau & Garces (2021), and be more than there are examples. Otherwise: how
        many examples, chosen at random, each client keeps at most.
    alpha
        Concentration of ``dirichlet`` and ``quantity``, 1e-6 to 1e6: small is skewed, large is
        even.

    Returns
    -------
    list of numpy.ndarray
        For each client the indices of its examples, ascending, int64.

    Raises
    ------
    SettingsError
        If there are not enough examples, speakers, or examples of a label for the clients.
    """
    rule = PARTITIONS.get(name)
    drawn = _DRAWN.get(name)
    _check(len(labels), clients, examples_per_client, alpha, overlap=drawn is not None)
    if drawn and examples_per_client:
        return drawn(labels, clients, min(examples_per_client, len(labels)), alpha, rng)
    parts = rule(TrainingSet(labels, np.asarray(speakers), names), clients, alpha, rng)
    return kept(name, parts, len(labels), clients, examples_per_client, rng)


def kept(
    name: str,
    parts: Sequence[Indices],
    examples: int,
    clients: int,
    most: int | None,
    rng: np.random.Generator,
) -> list[Indices]:
    """Check what a partition gave, and keep at most so many examples of each client.

    Raises
    ------
    SettingsError
        If it gave another number of clients, a client nothing, or an example that there is not.
    """
    found = [np.unique(np.asarray(part)) for part in parts]
    if len(found) != clients:
        raise SettingsError(f"The partition {name} made {len(found)} clients, not {clients}.")
    for client, part in enumerate(found):
        fits = len(part) and np.issubdtype(part.dtype, np.integer)
        if not fits or part[0] < 0 or part[-1] >= examples:
            raise SettingsError(
                f"The partition {name} gave client {client} no example, or one that does not exist."
            )
    if most:
        # Where nothing is repeated, parts are drawn from in the order in which the partition gave
        # them: what a seed draws must not change.
        pairs = zip(parts, found, strict=True)
        once = [part if len(part) == len(own) else own for part, own in pairs]
        found = [rng.permutation(part)[:most] for part in once]
    return [np.sort(part).astype(np.int64) for part in found]


def _check(
    examples: int, clients: int, examples_per_client: int | None, alpha: float, *, overlap: bool
) -> None:
    """Raise unless every client can have an example, one of its own if they do not overlap."""
    if clients < 1:
        raise SettingsError(f"A federation needs at least one client, not {clients}.")
    if examples_per_client is not None and examples_per_client < 1:
        raise SettingsError(
            f"A client needs at least one example, not {examples_per_client}.",
            "Give another number of examples per client, or none.",
        )
    if not _ALPHA_RANGE[0] <= alpha <= _ALPHA_RANGE[1]:
        raise SettingsError(f"The concentration alpha should be 1e-6 to 1e6, not {alpha}.")
    if clients > examples and not (overlap and examples_per_client):
        raise SettingsError(
            f"{examples} training examples are not enough for {clients} clients.",
            "Give fewer clients, or a larger corpus.",
        )


def _drawn_at_random(
    labels: NDArray[np.int32], clients: int, size: int, alpha: float, rng: np.random.Generator
) -> list[Indices]:
    """Draw a sample for each client, whatever the others have."""
    del alpha
    return [_sample(np.arange(len(labels)), size, rng) for _ in range(clients)]


def _drawn_by_mix(
    labels: NDArray[np.int32], clients: int, size: int, alpha: float, rng: np.random.Generator
) -> list[Indices]:
    """Draw a mix of labels for each client and a sample of that mix, whatever the others have."""
    present, counts = np.unique(labels, return_counts=True)
    piles = [np.flatnonzero(labels == label) for label in present]
    parts = []
    for _ in range(clients):
        mix = rng.dirichlet(alpha * counts / len(labels))
        taken = _draw(size, mix, counts, rng)
        own = [_sample(pile, int(n), rng) for pile, n in zip(piles, taken, strict=True)]
        parts.append(np.sort(np.concatenate(own)))
    return parts


def _sample(pile: Indices, size: int, rng: np.random.Generator) -> Indices:
    return np.sort(pile[rng.choice(len(pile), size, replace=False, shuffle=False)])


_DRAWN: Final = {"random": _drawn_at_random, "dirichlet": _drawn_by_mix}
"""Partitions of which each client may draw a sample of its own."""


def _random(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[Indices]:
    del alpha
    return np.array_split(rng.permutation(len(whole)), clients)


def _single_emotion(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[Indices]:
    del alpha
    labels, names = whole.labels, whole.names
    parts: list[Indices] = [np.empty(0, np.int64)] * clients
    for label, name in enumerate(names[:clients]):
        holders = range(label, clients, len(names))
        own = rng.permutation(np.flatnonzero(labels == label))
        if len(own) < len(holders):
            raise SettingsError(
                f"{len(own)} training examples of {name} are not enough for the {len(holders)} "
                "clients that hold only this label.",
                "Give fewer clients, or another partition.",
            )
        for client, part in zip(holders, np.array_split(own, len(holders)), strict=True):
            parts[client] = part
    return parts


def _by_speaker(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[Indices]:
    del alpha
    names, who = np.unique(whole.speakers, return_inverse=True)
    if len(names) < clients:
        raise SettingsError(
            f"{len(names)} speakers in the training examples are not enough for {clients} clients "
            "that each hold whole speakers.",
            f"Give at most {len(names)} clients, or another partition.",
        )
    # Shuffled, because corpora number their speakers by a rule (women even, men odd).
    holder = np.empty(len(names), np.int64)
    holder[rng.permutation(len(names))] = np.arange(len(names)) % clients
    return _grouped(holder[who], clients)


def _dirichlet(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[Indices]:
    labels = whole.labels
    present, counts = np.unique(labels, return_counts=True)
    piles = [rng.permutation(np.flatnonzero(labels == label)) for label in present]
    left = counts.copy()
    mixes = rng.dirichlet(alpha * counts / len(labels), clients)
    sizes = np.diff(np.arange(clients + 1) * len(labels) // clients)
    parts = []
    for size, mix in zip(sizes, mixes, strict=True):
        taken = _draw(int(size), mix, left, rng)
        ends = counts - left
        left -= taken
        parts.append(
            np.concatenate([pile[e : e + t] for pile, e, t in zip(piles, ends, taken, strict=True)])
        )
    return parts


def _draw(size: int, mix: NDArray[np.float64], left: Indices, rng: np.random.Generator) -> Indices:
    """Say how many examples of each label a client takes of those that are left."""
    taken = np.zeros_like(left)
    while (missing := size - int(taken.sum())) > 0:
        available = left - taken
        wanted = np.where(available > 0, mix, 0)
        if not wanted.sum() > 0:  # the client wants none of what is left
            wanted = available.astype(np.float64)
        drawn = rng.multinomial(missing, wanted / wanted.sum())
        # Either this is enough, or a label runs out: the loop ends soon.
        taken += np.minimum(drawn, available)
    return taken


def _quantity(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator
) -> list[Indices]:
    labels = whole.labels
    shares = rng.dirichlet(np.full(clients, alpha))
    sizes = 1 + rng.multinomial(len(labels) - clients, shares)
    # Each label is spread evenly over [0, 1), so every stretch of the order has the same mix.
    position = np.empty(len(labels))
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        position[own] = (np.arange(len(own)) + rng.random()) / len(own)
    return np.split(np.argsort(position, kind="stable"), np.cumsum(sizes)[:-1])


def _grouped(holder: Indices, clients: int) -> list[Indices]:
    """Turn each example's holder into each client's examples."""
    order = np.argsort(holder, kind="stable")
    ends = np.cumsum(np.bincount(holder, minlength=clients))
    return np.split(order, ends[:-1])


def _checked(thing: Any) -> Partition:
    if not callable(thing):
        raise TypeError(f"it is a {type(thing).__name__}, and should be a function")
    try:
        inspect.signature(thing).bind(*range(4))
    except TypeError as error:
        raise TypeError("it should take the arguments whole, clients, alpha, rng") from error
    rule: Partition = thing
    return rule


PARTITIONS: Final[Registry[Partition]] = Registry(
    "partition",
    {
        "random": _random,
        "single-emotion": _single_emotion,
        "speaker": _by_speaker,
        "dirichlet": _dirichlet,
        "quantity": _quantity,
    },
    _checked,
)
"""What :func:`partition` can do, by name."""

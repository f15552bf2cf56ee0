"""From a corpus' utterances to each client's examples: splits and shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.normalisation import normalise
from edge_client.simulation.partition_file import SUFFIX, divide_by_file
from edge_client.simulation.partitions import kept, partition
from edge_client.simulation.settings import DataSettings, SimulationSettings
from edge_client.simulation.utterances import Indices, Utterances
from shared.errors import SettingsError
from shared.front_ends import front_end_of
from shared.randomness import stream
from shared.task import Task
from shared.training import Examples

DEFAULT_CLIENTS = 4

PAPER_SPLIT_SEED = 42
"""Seed of the paper's random test split (Chau & Garces, 2021)."""


@dataclass(frozen=True)
class Split:
    """Indices of the utterances to train on, to choose by, and to test on.

    ``validation`` is empty where nothing is to be chosen.
    """

    train: Indices
    validation: Indices
    test: Indices


@dataclass(frozen=True)
class ClientShares(Sequence[Examples]):
    """The clients' examples, taken from the whole when asked for, so that clients cost no memory.

    Attributes
    ----------
    whole
        All examples.
    places
        The indices of each client's examples; they may overlap.
    """

    whole: Examples
    places: Sequence[Indices]

    def __len__(self) -> int:
        """Return the number of clients."""
        return len(self.places)

    @overload
    def __getitem__(self, index: int, /) -> Examples: ...
    @overload
    def __getitem__(self, index: slice, /) -> "ClientShares": ...
    def __getitem__(self, index: int | slice, /) -> "Examples | ClientShares":
        """Take one client's examples, or some clients."""
        if isinstance(index, slice):
            return ClientShares(self.whole, self.places[index])
        return self.whole.take(self.places[index])

    def counts(self, task: Task) -> NDArray[np.int64]:
        """Count each client's examples of each label, shape ``(clients, labels)``."""
        labels = self.whole.labels
        rows = [np.bincount(labels[place], minlength=len(task.labels)) for place in self.places]
        return np.array(rows, np.int64)


@dataclass(frozen=True)
class Data:
    """What a run works on, normalised.

    Attributes
    ----------
    clients
        Each client's examples; for the baseline one with all of them.
    validation, test
        Examples to choose by (may be empty) and to test on.
    """

    clients: ClientShares
    validation: Examples
    test: Examples


def split(utterances: Utterances, settings: DataSettings) -> Split:
    """Divide utterances by the evaluation protocol.

    With another corpus to test on, that is the test; the validation split stays what it is.

    Raises
    ------
    SettingsError
        If there are fewer speakers than folds, or than are to be trained on.
    """
    if utterances.foreign:
        count = len(utterances.speakers)
        home = np.arange(count - utterances.foreign)
        if not settings.validation:  # all that is here teaches, however few speakers it has
            return Split(home, np.empty(0, np.int64), np.arange(len(home), count))
        parts = split(utterances.take(home), settings)
        train = np.sort(np.concatenate([parts.train, parts.test]))
        return Split(train, parts.validation, np.arange(len(home), count))
    if settings.protocol == "paper":
        return _paper_split(len(utterances.speakers), settings)
    names = np.unique(utterances.speakers)
    if len(names) < settings.folds:
        fewer = f"Give --folds {len(names)} or fewer, or" if len(names) > 1 else "Give"
        raise SettingsError(
            f"{len(names)} speaker{'s' * (len(names) > 1)} cannot be divided into "
            f"{settings.folds} folds.",
            f"{fewer} --protocol paper.",
        )
    groups = np.array_split(names, settings.folds)
    test = np.isin(utterances.speakers, groups[settings.fold - 1])
    validation = np.zeros_like(test)
    if settings.validation:
        if settings.folds == 2:  # noqa: PLR2004 -- one for the test, one for training, none left
            raise SettingsError(
                "Two folds leave no speakers for validation.",
                "Give --folds 3 or more, or --no-validation.",
            )
        validation = np.isin(utterances.speakers, groups[settings.fold % settings.folds])
    train = _of_some(np.flatnonzero(~test & ~validation), utterances.speakers, settings)
    return Split(train, np.flatnonzero(validation), np.flatnonzero(test))


def _of_some(train: Indices, speakers: NDArray[np.str_], settings: DataSettings) -> Indices:
    """Leave so many training speakers as the settings say; of more, the fewer are the first."""
    count, names = settings.training_speakers, np.unique(speakers[train])
    if count is None:
        return train
    if count > len(names):
        raise SettingsError(
            f"{count} speakers cannot join: there are {len(names)} outside fold {settings.fold}.",
            "Give fewer --training-speakers (--counts), or more --folds.",
        )
    order = stream(settings.seed, "joining", settings.fold).permutation(names)
    return train[np.isin(speakers[train], order[:count])]


def _paper_split(count: int, settings: DataSettings) -> Split:
    """Take a random tenth as the test, in the order of scikit-learn's ``train_test_split``."""
    order = np.random.RandomState(PAPER_SPLIT_SEED).permutation(count)
    tenth = -(-count // 10)
    test, rest = order[:tenth], order[tenth:]
    if not settings.validation:
        return Split(np.sort(rest), np.empty(0, np.int64), np.sort(test))
    rest = stream(settings.seed, "validation").permutation(rest)
    tenth = -(-len(rest) // 10)
    return Split(np.sort(rest[tenth:]), np.sort(rest[:tenth]), np.sort(test))


def divide(utterances: Utterances, settings: SimulationSettings) -> tuple[Split, list[Indices]]:
    """Split utterances, and divide the training set over the clients.

    Returns
    -------
    Split, list of numpy.ndarray
        The split, and the indices of each client's utterances and their copies, as
        :func:`~edge_client.simulation.normalisation.normalise` has them; in the baseline one
        client has all.

    Raises
    ------
    SettingsError
        If there are not enough utterances, speakers or labels for the folds or the clients.
    """
    parts = split(utterances, settings)
    if settings.baseline:
        return parts, [utterances.with_copies(parts.train)]
    speakers = utterances.speakers[parts.train]
    rng = stream(settings.seed, "partition")
    if settings.partition.endswith(SUFFIX):
        file = Path(settings.partition)
        found = divide_by_file(file, utterances.clips[parts.train])
        most, clients = settings.examples_per_client, settings.clients or len(found)
        places = kept(settings.partition, found, len(speakers), clients, most, rng)
        return parts, [utterances.with_copies(parts.train[place]) for place in places]
    one_each = len(np.unique(speakers)) if settings.partition == "speaker" else DEFAULT_CLIENTS
    places = partition(
        settings.partition,
        utterances.examples.labels[parts.train],
        speakers,
        names=settings.task.names,
        clients=settings.clients or one_each,
        rng=rng,
        examples_per_client=settings.examples_per_client,
        alpha=settings.alpha,
    )
    return parts, [utterances.with_copies(parts.train[place]) for place in places]


def prepare(utterances: Utterances, settings: SimulationSettings) -> Data:
    """Normalise utterances, split them, and divide the training set over the clients.

    Raises
    ------
    SettingsError
        If there are not enough of them for the folds or the clients.
    """
    parts, places = divide(utterances, settings)
    examples = normalise(
        utterances,
        parts.train,
        settings.normalisation,
        front_end_of(settings.task.front_end),
    )
    return Data(
        ClientShares(examples, places),
        examples.take(parts.validation),
        examples.take(parts.test),
    )

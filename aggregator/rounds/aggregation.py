"""From a round's updates on the disk to the next model on the disk, with bounded memory."""

from collections.abc import Iterable, Iterator, Sequence

from aggregator.ledger import Model, UpdateRecord
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.model_files import ModelFiles
from aggregator.rounds.secure_rounds import with_octaves, without_octaves
from aggregator.settings import AggregatorSettings
from aggregator.strategies import Strategy, Update
from aggregator.strategies.averaging import averaged
from aggregator.strategies.privacy import PrivateMean
from aggregator.strategies.ring_sum import RingSum
from aggregator.strategies.settings import strategy_of
from shared.architectures import Architecture
from shared.codecs import make_codec
from shared.codecs.update_file import UpdateFile
from shared.randomness import stream


def read_updates(
    records: Sequence[UpdateRecord],
    folder: FederationFolder,
    architecture: Architecture,
    extra: Sequence[str],
) -> Iterator[Update]:
    """Open the accepted updates of a round, one after the other, in the order of clients' names.

    Their values stay on the disk until they are read, piece by piece.

    Parameters
    ----------
    records
        What the ledger knows of them.
    folder
        Where they lie.
    architecture
        What they belong to.
    extra
        Which vectors they hold besides the difference of weights.

    Raises
    ------
    WeightsError
        If a file is missing or damaged; so does reading its values.
    """
    for record in sorted(records, key=lambda record: record.client):
        path = folder.update(record.round, record.client)
        file = UpdateFile(path, make_codec(record.codec), architecture, extra)
        yield Update(record.client, record.examples, file.delta, file.control)


def next_model(
    settings: AggregatorSettings,
    number: int,
    base: Model,
    updates: Iterable[Update],
    examples: Sequence[int],
    files: ModelFiles,
    private: PrivateMean | None = None,
    found: RingSum | None = None,
) -> tuple[Model, list[str]]:
    """Aggregate a round as the simulator does, but from files to files.

    Between rounds nothing is held in memory. While a round is aggregated, it is the direction,
    which becomes the new weights, and what the strategy remembers: three models at most; where
    models travel as differences, two more.

    Parameters
    ----------
    settings
        The federation's.
    number
        The round.
    base
        The model it began with.
    updates
        In the order of the clients' names.
    examples
        How many each of them has.
    files
        Where models lie; the new ones are safe there on return.
    private
        What averages them with noise, where the federation has a privacy budget.
    found
        What the sum of a secure round says; then there are no updates.

    Returns
    -------
    Model, list of str
        The next model, and sentences on what was remarkable about the updates.

    Raises
    ------
    TrainingError
        If there are too few updates for the strategy, or they combine into nonsense.
    WeightsError
        If the file of an update is missing or damaged.
    FederationError
        If a file of the base model is.
    StorageError
        If the disk is full.
    """
    strategy = _restored(settings, base, files)
    before, length = files.vector(base.digest), settings.step_length(number)
    if found:
        computed = strategy.follow(before, found.direction, length=length)
    elif private:
        computed = strategy.follow(before, private.mean(updates), length=length)
    else:
        computed = strategy.aggregate(before, updates, length=length, examples=examples)
    weights, difference = strategy.download.publish(
        before, computed, files.architecture, stream(settings.seed, "download", number)
    )
    del computed  # its memory is the residual's now, or the weights'
    digest = files.add_weights(weights)
    del weights
    average = None
    if settings.averaging:
        average = _average(settings.averaging, base, digest, files)
    control, memory = _remembered(strategy, files, found)
    model = Model(
        digest=digest,
        bytes=files.size(digest),
        difference=files.add_difference(difference) if difference else None,
        average=average,
        control=control,
        memory=memory,
        statistics=base.statistics,
    )
    return model, strategy.bounds.remarks


def _restored(settings: AggregatorSettings, base: Model, files: ModelFiles) -> Strategy:
    """Make the strategy, with what it remembered after a model."""
    strategy = strategy_of(settings, settings.clients)
    memory = without_octaves(files.arrays(base.memory)) if base.memory else {}
    if "control" in strategy.extra_vectors:
        # Clients' variates follow no rollback and end with a run, and so does their sum. Earlier
        # versions had it among the memory, too, and that of the model which was gone back to.
        memory.pop("control", None)
        if base.control and "control" in strategy.remembers:
            memory["control"] = files.weights(base.control)
    strategy.restore(memory)
    return strategy


def _average(decay: float, base: Model, digest: str, files: ModelFiles) -> str:
    """Take the new weights into the running average, which begins with the first round's."""
    if base.average is None:
        return digest
    average = averaged(files.vector(base.average), files.vector(digest), decay)
    return files.add_weights(average)


def _remembered(
    strategy: Strategy, files: ModelFiles, found: RingSum | None
) -> tuple[str | None, str | None]:
    """Write what clients get besides the weights, and what the next round has to know."""
    given = strategy.broadcast()
    control = given.get("control")
    own = {name: array for name, array in strategy.memory.items() if name not in given}
    memory = with_octaves(own, found)
    return (
        None if control is None else files.add_weights(control),
        files.add_arrays(memory) if memory else None,
    )

"""Going back to an earlier model."""

from dataclasses import replace

from aggregator.ledger import History, Ledger, Version
from aggregator.ledger.charges import spent_if_lost
from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.model_files import ModelFiles, files_of
from shared.errors import FederationError


def kept_model(history: History, number: int) -> Version:
    """Give the model after round ``number``, with the control variate that clients go on with.

    That is the newest one: it is the sum of what the clients' own have changed by, and they keep
    theirs. Of a damaged one, which there may be a reason to go back from, the one before.

    Raises
    ------
    FederationError
        If there is none, or its files are no longer kept, or damaged.
    """
    found = history.find(number)
    files = files_of(history)
    if not files.has(found):
        raise FederationError(
            f"The files of the model after round {number} are no longer kept.",
            "`aggregator models list` shows which are; --keep-models says how many.",
        )
    files.check_all(found)
    return replace(found, control=_newest_variate(history, files))


def _newest_variate(history: History, files: ModelFiles) -> str | None:
    """Give the digest of the newest control variate whose file is whole, if there is one."""
    for version in history.versions():
        if version.control is None:
            break  # a run began, and clients' own with it
        try:
            files.check(version.control)
        except FederationError:
            continue
        return version.control
    return None


def roll_back(folder: FederationFolder, number: int) -> Version:
    """Make the model after round ``number`` current again, as :func:`kept_model` gives it.

    A round under way is abandoned, and charged where its sum may be known. The rounds go on
    counting from where they were.

    Returns
    -------
    Version
        The new version, which repeats the earlier one.

    Raises
    ------
    FederationError
        If the folder is in use (`aggregator serve` runs), holds no federation, has no such model,
        or its files are no longer kept, or damaged.
    MissingPartError
        If what accounts for a privacy budget is not installed, and the round is charged.
    """
    with History(folder.ledger) as history:
        to = kept_model(history, number)
    ledger = Ledger(folder.ledger)
    try:
        return ledger.roll_back(to, spent=spent_if_lost(ledger))
    finally:
        ledger.close()

"""What a federation recognises, and begins with, where nobody has said it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aggregator.ledger.folder import FederationFolder
from aggregator.ledger.history import begun_with
from aggregator.settings import FRESH, PACKAGED, AggregatorSettings, StateSettings, is_name_of
from shared.errors import ChorusError
from shared.front_ends import FRONT_ENDS, WHISPER
from shared.starter import STARTER, STARTER_MODEL, STARTER_TASK
from shared.task import PAPER34
from shared.task_settings import TaskSettings
from shared.weights import architecture_in

_CHOICES: Final = (*TaskSettings.model_fields, "model", "initial")
"""Settings that say what a federation recognises, and begins with."""

_OF_VECTORS: Final = (STARTER_MODEL, "mlp")
"""Models of an encoder's vectors: where no front end is given, they stand for the encoder."""


def with_task(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add to the settings that somebody gave what they leave open of the task and the first model.

    Parameters
    ----------
    values
        As :meth:`shared.settings.Settings.gather` gives them.

    Returns
    -------
    dict
        With labels, front end, model and weights of the federation in the state folder, if there is
        one. Else with those of the weights to start from. Else with a front end and a model that go
        together, and with the starter if it is of this task and model.

    Raises
    ------
    WeightsError
        If the weights to start from cannot be read.
    """
    given = {name: value for name, value in values.items() if value is not None}
    begun = _begun(given)
    if begun is not None:
        return {**begun, **given}
    # What is no path is left to whoever checks the settings.
    if isinstance(initial := given.get("initial"), str | Path):
        given = {**_of_weights(Path(initial)), **given}
    front_end, model = given.get("front_end"), given.get("model")
    if front_end is None:
        front_end = WHISPER.name if model in (None, *_OF_VECTORS) else PAPER34.name
    named = {name: given[name] for name in TaskSettings.model_fields if name in given}
    try:
        task = TaskSettings.parse({"front_end": front_end, **named}).task
    except ChorusError:
        return given  # whoever checks the settings says what is wrong with them
    if model is None:
        model = STARTER_MODEL if task.front_end.frames == 1 else "conv"
    completed = {"front_end": front_end, "model": model, **given}
    if model == STARTER_MODEL and not task.difference(STARTER_TASK):
        completed.setdefault("initial", PACKAGED)
    return completed


def _begun(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read what the federation in the state folder was begun with, if there is one."""
    state = {"state": given["state"]} if "state" in given else {}
    ledger = FederationFolder(StateSettings.parse(state).folder).ledger
    if not ledger.exists():
        return None
    before = begun_with(ledger)
    if not before:  # what it was to begin with could not be used
        return None
    # A setting that a newer version brought was at its default before.
    begun = {**AggregatorSettings().model_dump(mode="json"), **before}
    return {name: begun[name] for name in _CHOICES}


def _of_weights(initial: Path) -> dict[str, Any]:
    """Read from weights to start from what they recognise, and which model they are of."""
    if is_name_of(initial, FRESH):
        return {}
    architecture = architecture_in(STARTER if is_name_of(initial, PACKAGED) else initial)
    task = architecture.task
    found = {"labels": task.names, "model": architecture.name}
    if FRONT_ENDS.has(task.front_end.name):
        found["front_end"] = task.front_end.name
    return found

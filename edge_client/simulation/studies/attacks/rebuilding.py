"""What is rebuilt from updates through each defence: ``reconstruction.py`` on a corpus."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.studies.attacks.defences import NONE, Defence, defences
from edge_client.simulation.studies.attacks.reconstruction import (
    Features,
    is_linear,
    likeness,
    rebuild,
)
from edge_client.simulation.studies.attacks.updates import encoded, gradient_of, update_of
from edge_client.simulation.studies.attacks.victims import CHANCE, Row, Track, Victims
from shared.randomness import stream
from shared.weights import norm

SIZES: Final = (1, 4, 16, 64)
"""Of how many examples the updates are that features are rebuilt from."""

ANNOUNCED: Final = Defence("as announced")
"""An update that was trained as the settings say, in place of the plain gradient."""

_SEARCHED: Final = 2
"""Updates of one example that features are searched for; of more examples there are fewer."""

_SOLVED: Final = 64
"""The same where a formula gives them."""


def reconstruct(victims: Victims, track: Track) -> dict[str, Row]:
    """Rebuild features from updates of one step of gradient descent, by defence.

    Returns
    -------
    dict
        By defence, first :data:`CHANCE`: the likeness to the true features
        (:func:`.reconstruction.likeness`), by the number of examples of a device's update. Through
        defences, of one example alone.
    """
    tried = [*defences(victims.settings.noise_epsilon), ANNOUNCED]
    cells = [
        (defence, size)
        for defence in tried
        for size in (SIZES if defence is NONE else SIZES[:1])
        if size * defence.devices <= len(victims.examples) // 2
    ]
    most = _SOLVED if is_linear(victims.engine.architecture) else _SEARCHED
    found: dict[str, Row] = {CHANCE: {}}
    for defence, size in track(cells, len(cells)):
        targets = max(1, most // (size * defence.devices))
        alike, guessed = zip(
            *(_rebuilt(victims, defence, size, target) for target in range(targets)), strict=True
        )
        found.setdefault(defence.name, {})[str(size)] = float(np.mean(alike))
        if defence is NONE:
            found[CHANCE][str(size)] = float(np.mean(guessed))
    return found


def _rebuilt(victims: Victims, defence: Defence, size: int, target: int) -> tuple[float, float]:
    """Attack one device; say how alike what was found is, and what a guess by label is."""
    settings, engine = victims.settings, victims.engine
    architecture = engine.architecture
    rng = stream(settings.seed, "reconstruction", defence.devices, size, target)
    drawn = rng.choice(len(victims.examples), size * defence.devices, replace=False)
    rows = []
    for place, own in enumerate(np.split(drawn, defence.devices)):
        examples, name = victims.examples.take(own), f"device-{target}-{place}"
        if defence is ANNOUNCED:
            announced = settings.announced(1)
            update = update_of(engine, victims.weights, examples, announced, name, settings.seed)
        else:
            update = gradient_of(engine, victims.weights, examples)
        rows.append(encoded(update, architecture, defence.codec, name))
    seen = np.mean(rows, axis=0)
    if defence.epsilon:
        noise = victims.noise(float(np.median([norm(row) for row in rows])))
        shortened = [row * min(1.0, noise.clip_norm / norm(row)) for row in rows]
        seen = noise.mean(np.array(shortened, np.float32), defence.epsilon, rng)
    true = victims.examples.take(drawn)
    found = rebuild(architecture, victims.weights, seen, true.labels, rng)
    guess = _mean_of_label(victims, drawn)[true.labels]
    return likeness(found, true.features, true.frames), likeness(guess, true.features, true.frames)


def _mean_of_label(victims: Victims, drawn: NDArray[np.int64]) -> Features:
    """Give the mean features of each label, without the utterances that are attacked."""
    others = np.setdiff1d(np.arange(len(victims.examples)), drawn)
    known = victims.examples.take(others)
    means = [
        known.features[known.labels == label].mean(axis=0)
        for label in range(len(victims.settings.task.labels))
    ]
    return np.array(means, np.float32)

"""The updates that are attacked: of devices that hold some utterances of one speaker."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.client_round import Assignment, Contribution, client_round
from edge_client.learning.training import Engine
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.attacks.defences import PLAIN, Defence, Noise, Rows
from edge_client.simulation.utterances import Indices
from shared.architectures import Architecture
from shared.codecs import make_codec
from shared.codecs.update_file import encode_update
from shared.randomness import stream
from shared.training import Examples, TrainingSettings
from shared.weights import Weights, norm

TURNS: Final = 4
"""Updates of each speaker from either half of its utterances."""

GRADIENT: Final = TrainingSettings(optimizer="sgd", learning_rate=1.0, steps=1, dropout=False)
"""Training whose update is the gradient, with the opposite sign."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one attacked device holds.

    Attributes
    ----------
    speaker
        Whose utterances: a place among the speakers' names in their order.
    half
        From which half of that speaker's utterances, 0 or 1. Those of the other half come in no
        share of this one.
    members
        The indices of those that it trains on.
    others
        The indices of all others of the same speaker.
    """

    speaker: int
    half: int
    members: Indices
    others: Indices


def draw_shares(
    labels: NDArray[np.int32], speakers: NDArray[np.int64], size: int, seed: int
) -> list[Share]:
    """Draw what the attacked devices hold: :data:`TURNS` shares of each half of each speaker.

    Each share has its own mix of labels, drawn from ``Dirichlet(1)``: devices of real people hear
    some moods more often than others.

    Parameters
    ----------
    labels, speakers
        Shape ``(n,)``, of all utterances.
    size
        Utterances of a share; all of a half if it has no more.
    seed
        Of the draw.
    """
    shares = []
    for speaker in range(int(speakers.max()) + 1):
        rng = stream(seed, "attacked", speaker)
        own = rng.permutation(np.flatnonzero(speakers == speaker))
        for half in (0, 1):
            whole = np.sort(own[half::2])
            for _ in range(TURNS):
                mix = rng.dirichlet(np.ones(int(labels.max()) + 1))[labels[whole]] + 1e-9
                taken = rng.choice(whole, min(size, len(whole)), replace=False, p=mix / mix.sum())
                members = np.sort(taken)
                shares.append(Share(speaker, half, members, np.setdiff1d(own, members)))
    return shares


def update_of(
    engine: Engine,
    weights: Weights,
    examples: Examples,
    settings: TrainingSettings,
    name: str,
    seed: int = 0,
) -> Weights:
    """Train as a device does, and give its update, without a codec.

    Raises
    ------
    TrainingError
        If the training diverges.
    """
    codec = make_codec(PLAIN)
    outcome = client_round(Assignment(name, 1, seed, weights, examples, settings, codec), engine)
    if not isinstance(outcome, Contribution):
        raise TypeError("nobody has stopped it")
    return outcome.encoded.delta[:]


def gradient_of(engine: Engine, weights: Weights, examples: Examples) -> Weights:
    """Give the way down: the gradient of the examples' mean loss, with the opposite sign."""
    settings = GRADIENT.model_copy(update={"batch_size": len(examples)})
    return update_of(engine, weights, examples, settings, "gradient")


def encoded(update: Weights, architecture: Architecture, codec: str, name: str) -> Weights:
    """Give an update as the aggregator reads it, of a device that sends its first one."""
    rng = stream(0, "codec", name, 1)
    return encode_update(update.copy(), architecture, make_codec(codec), rng).delta[:]


class Sight:
    """The part of a model that the attacks look at: its first layer and its last.

    Most that tells people apart is in the first layer (Feng et al., 2021), and the last one tells
    of labels.

    Parameters
    ----------
    architecture
        The model.
    """

    def __init__(self, architecture: Architecture) -> None:
        manifest = architecture.manifest
        ends = (manifest[0].layer, manifest[-1].layer)
        self._specs = [spec for spec in manifest if spec.layer in ends]

    def of(self, vector: Weights) -> Weights:
        """Cut it out of a vector of all weights."""
        return np.concatenate([vector[spec.where] for spec in self._specs])

    @cached_property
    def tensors(self) -> list[slice]:
        """Where each tensor lies in what was cut out; the last is the bias of the logits."""
        ends = np.cumsum([spec.size for spec in self._specs])
        return [
            slice(int(end) - spec.size, int(end))
            for spec, end in zip(self._specs, ends, strict=True)
        ]


@dataclass(frozen=True)
class Updates:
    """What the attacked devices have sent.

    Attributes
    ----------
    shares
        What each holds.
    rows
        By codec, the part of each update that is looked at: shape ``(devices, values)``.
    lengths
        Shape ``(devices,)``: the norm of each whole update.
    """

    shares: Sequence[Share]
    rows: Mapping[str, Rows]
    lengths: NDArray[np.float64]

    @property
    def speakers(self) -> NDArray[np.int64]:
        """Whose each is."""
        return np.array([share.speaker for share in self.shares])

    def seen(
        self,
        defence: Defence,
        noise: Noise,
        attacked: NDArray[np.bool_],
        among: NDArray[np.bool_],
        seed: int,
    ) -> Rows:
        """Give what the attacker sees in the place of each attacked update.

        Parameters
        ----------
        defence
            What was done before.
        noise
            For differential privacy.
        attacked, among
            Shape ``(devices,)``: whose updates are attacked, and from which the others are drawn
            where the mean over several devices is seen; they are of other speakers.
        seed
            Of the choice of the others, and of the noise.
        """
        rows = self.rows[defence.codec]
        if defence.shortened:
            factors = np.minimum(1, noise.clip_norm / self.lengths).astype(np.float32)
            rows = rows * factors[:, None]
        if defence.devices == 1:
            return rows[attacked]
        speakers, found = self.speakers, []
        for place in np.flatnonzero(attacked).tolist():
            rng = stream(seed, "others", defence.devices, place)
            strangers = np.flatnonzero(among & (speakers != speakers[place]))
            chosen = rng.choice(strangers, defence.devices - 1, replace=False)
            summed = rows[[place, *chosen.tolist()]]
            if defence.epsilon:
                found.append(noise.mean(summed, defence.epsilon, rng))
            else:
                found.append(summed.mean(axis=0))
        return np.array(found, np.float32)


def collect_updates(
    engine: Engine,
    weights: Weights,
    examples: Examples,
    shares: Sequence[Share],
    settings: SimulationSettings,
    codecs: Sequence[str],
) -> Iterator[tuple[dict[str, Weights], float]]:
    """Let the attacked devices train; give of each what is seen by codec, and its update's norm.

    Parameters
    ----------
    engine
        What trains.
    weights
        The round's global weights.
    examples
        All utterances, normalised.
    shares
        What the devices hold.
    settings
        How they train, and their seed.
    codecs
        How they encode.
    """
    sight = Sight(engine.architecture)
    announced = settings.announced(1)
    for place, share in enumerate(shares):
        name = f"device-{place:05d}"
        own = examples.take(share.members)
        update = update_of(engine, weights, own, announced, name, settings.seed)
        seen = {
            codec: sight.of(encoded(update, engine.architecture, codec, name)) for codec in codecs
        }
        yield seen, norm(update)

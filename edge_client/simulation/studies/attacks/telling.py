"""What is told from updates through each defence: the attacks of ``inferences.py`` on a corpus."""

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.studies.attacks.defences import Defence, defences
from edge_client.simulation.studies.attacks.genders import genders_of
from edge_client.simulation.studies.attacks.inferences import (
    Membership,
    count_labels,
    counted_right,
    recognise_speakers,
    scaled,
    tell_gender,
)
from edge_client.simulation.studies.attacks.updates import (
    Sight,
    Updates,
    collect_updates,
    draw_shares,
    gradient_of,
)
from edge_client.simulation.studies.attacks.victims import CHANCE, Row, Track, Victims


def infer(victims: Victims, track: Track) -> dict[str, Row]:
    """Tell gender, speaker, labels and membership from updates, by defence.

    Returns
    -------
    dict
        By defence, first :data:`CHANCE`: *gender*, the mean share of right answers over the two;
        *speaker*, the share of updates that were recognised; *member*, how often the right one of
        two utterances was told; *labels*, the share of examples counted under the right label.
    """
    settings, examples, engine = victims.settings, victims.examples, victims.engine
    labels = examples.labels
    shares = draw_shares(labels, victims.speakers, settings.held, settings.seed)
    tried = defences(settings.noise_epsilon)
    codecs = list(dict.fromkeys(defence.codec for defence in tried))
    sent = track(
        collect_updates(engine, victims.weights, examples, shares, settings, codecs), len(shares)
    )
    parts, lengths = zip(*sent, strict=True)
    rows = {codec: np.array([part[codec] for part in parts]) for codec in codecs}
    updates = Updates(shares, rows, np.array(lengths))
    sight = Sight(engine.architecture)
    gradients = np.array(
        [
            sight.of(gradient_of(engine, victims.weights, examples.take(np.array([place]))))
            for place in track(range(len(examples)), len(examples))
        ]
    )
    attack = _Inference(victims, updates, sight.tensors, gradients)
    possible = [defence for defence in tried if defence.devices <= attack.most_devices]
    found = {defence.name: attack.gained(defence) for defence in track(possible, len(possible))}
    return {CHANCE: attack.chance(), **found}


class _Inference:
    """Attacks all groups of speakers, each by what was learned from the others."""

    def __init__(
        self,
        victims: Victims,
        updates: Updates,
        tensors: list[slice],
        gradients: NDArray[np.float32],
    ) -> None:
        self._updates, self._tensors = updates, tensors
        self._groups, self._seed = victims.groups, victims.settings.seed
        self._genders = genders_of(victims.names)
        self._noise = victims.noise(float(np.median(updates.lengths)))
        labels, count = victims.examples.labels, len(victims.settings.task.labels)
        self._mixes = np.array(
            [np.bincount(labels[own.members], minlength=count) for own in updates.shares]
        ) / np.array([[len(own.members)] for own in updates.shares])
        self._memberships = [
            Membership(gradients, labels, ~np.isin(victims.speakers, group))
            for group in self._groups
        ]

    @property
    def most_devices(self) -> int:
        """How many devices can be added up without one of those that are attacked."""
        whose = self._updates.speakers
        known = min(int((~np.isin(whose, group)).sum()) for group in self._groups)
        return known - int(np.bincount(whose).max()) + 1

    def chance(self) -> Row:
        """Say what guessing gains."""
        guessed = np.empty_like(self._mixes)
        for group in self._groups:
            attacked = np.isin(self._updates.speakers, group)
            guessed[attacked] = self._mixes[~attacked].mean(axis=0)
        sizes = [len(group) for group in self._groups]
        return {
            "gender": None if self._genders is None else 0.5,
            "speaker": len(sizes) / sum(sizes),
            "member": 0.5,
            "labels": counted_right(guessed, self._mixes),
        }

    def gained(self, defence: Defence) -> Row:
        """Attack through a defence."""
        whose = self._updates.speakers
        told, counted = np.zeros(len(whose), np.int64), np.zeros((2, *self._mixes.shape))
        right, higher = [], []
        for group, membership in zip(self._groups, self._memberships, strict=True):
            attacked = np.isin(whose, group)
            known, seen = (
                self._updates.seen(defence, self._noise, of, among, self._seed)
                for of, among in ((~attacked, ~attacked), (attacked, np.ones_like(attacked)))
            )
            shares = [own for own in self._updates.shares if own.speaker in group]
            higher.append(membership.higher(seen, shares))
            bias, mixes = self._tensors[-1], self._mixes[~attacked]
            counted[0, attacked] = count_labels(known[:, bias], mixes, seen[:, bias])
            known, seen = scaled(known, self._tensors), scaled(seen, self._tensors)
            counted[1, attacked] = count_labels(known, mixes, seen)
            right.append(recognise_speakers(known, whose[~attacked], seen, shares))
            if self._genders is not None:
                told[attacked] = tell_gender(known, self._genders[whose[~attacked]], seen)
        return {
            "gender": self._told_right(told),
            "speaker": float(np.concatenate(right).mean()),
            "member": float(np.mean(higher)),
            "labels": max(counted_right(way, self._mixes) for way in counted),
        }

    def _told_right(self, told: NDArray[np.int64]) -> float | None:
        if self._genders is None:
            return None
        true = self._genders[self._updates.speakers]
        return float(np.mean([(told[true == one] == one).mean() for one in np.unique(true)]))

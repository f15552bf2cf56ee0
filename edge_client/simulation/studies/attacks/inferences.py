"""What is told from updates: gender, speaker, labels, and whether an utterance was trained on.

Attackers learn from updates of speakers who are not the attacked ones, as somebody can who has a
corpus and the federation's model (Feng et al., 2021, https://arxiv.org/abs/2112.13416).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.studies.attacks.defences import Rows
from edge_client.simulation.studies.attacks.updates import Share

_RIDGE: Final = 1.0
"""Of the regression of labels on components, as a multiple of an update's mean square."""

_SHRINKAGE: Final = 0.1
"""Of a covariance that has no inverse otherwise."""

_FLOOR: Final = 0.01
"""What is added to the second moments of gradients, as a multiple of their mean square."""


def scaled(rows: Rows, tensors: Sequence[slice]) -> Rows:
    """Give the direction of each update, tensor by tensor: each has the norm 1."""
    found = np.empty_like(rows)
    for where in tensors:
        part = rows[:, where]
        lengths = np.linalg.norm(part, axis=1, keepdims=True)
        found[:, where] = part / np.maximum(lengths, np.float32(1e-30))
    return found


class Components:
    """Principal components of what an attacker has learned from.

    Parameters
    ----------
    rows
        Shape ``(n, values)``.
    """

    def __init__(self, rows: Rows) -> None:
        self._mean = rows.mean(axis=0)
        centred = (rows - self._mean).astype(np.float64)
        variances, turned = np.linalg.eigh(centred @ centred.T)
        kept = variances > variances[-1] * 1e-9
        self._axes = centred.T @ (turned[:, kept] / np.sqrt(variances[kept]))

    def of(self, rows: Rows) -> NDArray[np.float64]:
        """Give the components of rows, shape ``(m, components)``."""
        return np.asarray((rows - self._mean) @ self._axes, np.float64)


def _discriminant(solver: str, rows: NDArray[np.float64], names: NDArray[np.int64]) -> Any:
    """Fit a discriminant analysis, shrunk as Ledoit & Wolf (2004) have it, or by more if need be.

    Updates of a small model can be so alike that their covariance has no inverse all the same.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    try:
        return LinearDiscriminantAnalysis(solver=solver, shrinkage="auto").fit(rows, names)
    except np.linalg.LinAlgError:
        return LinearDiscriminantAnalysis(solver=solver, shrinkage=_SHRINKAGE).fit(rows, names)


def tell_gender(known: Rows, genders: NDArray[np.int64], seen: Rows) -> NDArray[np.int64]:
    """Tell the gender of the speakers behind updates.

    Parameters
    ----------
    known, genders
        Updates of other speakers, shape ``(n, values)``, and their genders, shape ``(n,)``.
    seen
        The attacked ones, shape ``(m, values)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(m,)``.
    """
    components = Components(known)
    classifier = _discriminant("lsqr", components.of(known), genders)
    return np.asarray(classifier.predict(components.of(seen)), np.int64)


def recognise_speakers(
    known: Rows, names: NDArray[np.int64], seen: Rows, shares: Sequence[Share]
) -> NDArray[np.bool_]:
    """Recognise a speaker's update by an earlier one, among those of the other attacked speakers.

    What tells speakers apart is learned from others. The two updates have no utterance in common.

    Parameters
    ----------
    known, names
        Updates of other speakers, shape ``(n, values)``, and who they are, shape ``(n,)``.
    seen
        The attacked ones, shape ``(m, values)``.
    shares
        What they were made from.

    Returns
    -------
    numpy.ndarray
        Whether the nearest of the earlier updates, one a speaker, is of the right one; for each
        update of the second half, and for each turn of the earlier ones.
    """
    components = Components(known)
    told = _discriminant("eigen", components.of(known), names)
    points = told.transform(components.of(seen))
    points -= points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    speakers = np.array([share.speaker for share in shares])
    second = np.array([share.half == 1 for share in shares])
    earlier = [np.flatnonzero(~second & (speakers == name)) for name in np.unique(speakers)]
    right = []
    for turn in zip(*earlier, strict=True):
        places = np.array(turn)
        nearest = (points[second] @ points[places].T).argmax(axis=1)
        right.append(speakers[places][nearest] == speakers[second])
    return np.concatenate(right)


def count_labels(known: Rows, shares: NDArray[np.float64], seen: Rows) -> NDArray[np.float64]:
    """Estimate each label's share of the examples by ridge regression.

    For a step of gradient descent the bias of the logits moves by the share of each label less the
    mean probability that the model gives it, times the learning rate. What is left unknown, and
    what another optimiser does to it, is learned from others.

    Parameters
    ----------
    known, shares
        Updates of other speakers or parts of them, shape ``(n, values)``, and the true shares,
        shape ``(n, labels)``.
    seen
        The same of the attacked ones, shape ``(m, values)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(m, labels)``; each row sums to 1.
    """
    components = Components(known)
    inputs, middle = components.of(known), shares.mean(axis=0)
    squares = inputs.T @ inputs
    strength = _RIDGE * np.trace(squares) / len(inputs)
    slopes = np.linalg.solve(
        squares + strength * np.eye(len(squares)), inputs.T @ (shares - middle)
    )
    found = np.maximum(middle + components.of(seen) @ slopes, 0)
    return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-30), np.float64)


def counted_right(estimated: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Give the share of the examples that were counted under the right label, on average.

    Both have the shape ``(n, labels)``; it is one less the total variation distance.
    """
    return float(1 - np.abs(estimated - true).sum(axis=1).mean() / 2)


class Membership:
    """Tells which utterances an update was made from, by the gradient of each.

    An update points the way that the gradients of its examples point. All gradients have much in
    common, though: what those of other speakers' utterances have is weighed down first (with the
    inverse of their second moments, as linear discriminant analysis does), and their mean for the
    label taken away. This is a simple member of the family of Nasr et al. (2019,
    https://arxiv.org/abs/1812.00910), who train a network on gradients, losses and activations.

    Parameters
    ----------
    gradients
        Of every utterance, shape ``(n, values)``, as :func:`.updates.gradient_of` gives them.
    labels
        Of every utterance, shape ``(n,)``.
    known
        Shape ``(n,)``: which are of other speakers than the attacked ones.
    """

    def __init__(
        self, gradients: Rows, labels: NDArray[np.int32], known: NDArray[np.bool_]
    ) -> None:
        # Few of a gradient's values are large: their signs tell more than their sizes.
        signs = np.sign(gradients)
        kinds = range(int(labels.max()) + 1)
        means = np.stack([signs[known & (labels == kind)].mean(axis=0) for kind in kinds])
        self._labels = labels
        self._rows = signs - means[labels]
        self._others = gradients[known]
        gram = self._others @ self._others.T / len(self._others)
        floor = _FLOOR * np.trace(gram) / len(gram)
        self._inverse = np.linalg.inv(gram + floor * np.eye(len(gram)))

    def higher(self, seen: Rows, shares: Sequence[Share]) -> float:
        """Say how often an utterance that was trained on has the higher score.

        Parameters
        ----------
        seen
            The attacked updates, shape ``(m, values)``.
        shares
            What they were made from.

        Returns
        -------
        float
            Among all pairs of an utterance that was trained on, and one of the same speaker with
            the same label that was not: the area under the curve within those, 0.5 by chance.
        """
        higher, pairs = 0.0, 0
        for row, share in zip(seen, shares, strict=True):
            sought = self._sought(row)
            inside, outside = (self._labels[part] for part in (share.members, share.others))
            members, others = (self._rows[part] @ sought for part in (share.members, share.others))
            for label in np.unique(inside):
                inner, outer = members[inside == label, None], others[None, outside == label]
                higher += float((inner > outer).sum() + (inner == outer).sum() / 2)
                pairs += inner.size * outer.size
        return higher / max(pairs, 1)

    def _sought(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weigh an update by the inverse of the others' moments (Woodbury's identity)."""
        along = self._inverse @ (self._others @ row) / len(self._others)
        return np.asarray(row - along @ self._others, np.float32)

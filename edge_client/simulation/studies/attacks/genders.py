"""Who of a corpus is a woman, and who a man: what an attacker guesses at."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_EMODB_MEN: Final = frozenset(("03", "10", "11", "12", "15"))
_NEMO_MEN: Final = frozenset(("KS0", "MP0", "SM0", "TP0", "WR0"))

_MAN: Final[dict[str, Callable[[str], bool]]] = {
    "emodb": _EMODB_MEN.__contains__,
    "nemo": _NEMO_MEN.__contains__,
    "ravdess": lambda actor: int(actor.removeprefix("Actor_")) % 2 == 1,
}
"""By corpus, whether a speaker is a man, as the corpora's own documents have it: RAVDESS by odd
numbers, EMO-DB in its list of speakers, nEMO in its ``data.tsv``."""


def genders_of(speakers: NDArray[np.str_]) -> NDArray[np.int64] | None:
    """Give the gender of speakers.

    Parameters
    ----------
    speakers
        The corpus' name and the speaker's, as utterances have them.

    Returns
    -------
    numpy.ndarray or None
        1 for a man, 0 for a woman; nothing where a corpus does not say.
    """
    found = []
    for name in speakers.tolist():
        corpus, _, speaker = name.partition(" ")
        if corpus not in _MAN:
            return None
        found.append(int(_MAN[corpus](speaker)))
    return np.array(found, np.int64)

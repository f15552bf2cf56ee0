"""What a model's file says beside its weights: what taught them, and how sure answers may be."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from shared.model_notes.calibration import UNMEASURED, Calibration, load_calibration
from shared.model_notes.model_card import ModelCard, card_of
from shared.storage.tensor_file import TensorFile

_MADE_FROM: Final = "made_from"
"""Under which the digest stands in a file's metadata."""


@dataclass(frozen=True, slots=True)
class ModelNotes:
    """What is known of a model.

    Attributes
    ----------
    calibration
        How sure its answers may be.
    card
        What taught it, and what it reached; ``None`` if nobody has said it.
    made_from
        A digest of all that it was made from: what makes it again finds whether it would be the
        same. Empty if nobody has said it.
    """

    calibration: Calibration = UNMEASURED
    card: ModelCard | None = None
    made_from: str = ""

    def of_descendants(self) -> Self:
        """Give the notes of models that a federation makes of this one."""
        card = self.card.of_descendants() if self.card else None
        return type(self)(self.calibration.inherited(), card)

    def to_metadata(self) -> dict[str, str]:
        """Give what a model's file says of it; nothing where nothing is known."""
        card = self.card.to_metadata() if self.card else {}
        made_from = {_MADE_FROM: self.made_from} if self.made_from else {}
        return self.calibration.to_metadata() | card | made_from


NO_NOTES: Final = ModelNotes()
"""Those of a model of which nothing is known."""


def load_notes(path: Path) -> ModelNotes:
    """Read what a model's file says beside its weights.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, or the calibration that it names cannot be.
    """
    metadata = TensorFile(path).metadata
    return ModelNotes(load_calibration(path), card_of(metadata), metadata.get(_MADE_FROM, ""))

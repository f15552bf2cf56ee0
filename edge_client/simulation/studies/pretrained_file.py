"""What experiments keep of pretraining, and whom a pretrained network has heard."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.architectures import Architecture
from shared.command.progress import tracker
from shared.encoders.encoder import HEADER_LIMIT
from shared.encoders.network import Network, read_network
from shared.errors import RunError, SettingsError
from shared.model_notes import ModelNotes
from shared.model_notes.model_card import ModelCard, card_of
from shared.storage.tensor_file import TensorFile

if TYPE_CHECKING:
    from shared.command.progress import Tracker


def keep_pretrained(
    path: Path,
    architecture: Architecture,
    card: ModelCard,
    teach: Callable[["Tracker"], Network],
    *,
    overwrite: bool,
) -> None:
    """Pretrain a network for an experiment, unless that is done.

    Parameters
    ----------
    path
        Where it is kept.
    architecture
        The network.
    card
        What taught it.
    teach
        Makes it.
    overwrite
        Whether to begin anew.

    Raises
    ------
    RunError
        If what is there was taught otherwise, or is another network.
    """
    if path.exists() and not overwrite:
        metadata = TensorFile(path).metadata
        if card_of(metadata) != card or read_network(path).architecture != architecture:
            raise RunError(
                f"{path} was pretrained otherwise than is asked for.",
                "Give another --out, or --overwrite to begin anew.",
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tracker(shown=True) as bar:
        network = teach(bar)
    network.write(path, ModelNotes(card=card))


def check_unheard(path: Path, corpora: Sequence[str], remedy: str) -> None:
    """Refuse a file whose card names a corpus that is tested: it may have heard who is tested."""
    card = card_of(TensorFile(path, header_limit=HEADER_LIMIT).metadata)
    for heard in card.taught_by if card else ():
        if heard.corpus in corpora:
            raise SettingsError(
                f"{path} was pretrained with {heard.corpus}: it may have heard who is tested.",
                remedy,
            )

"""The same recordings in two corpora: a model would be tested on what has taught it."""

from collections.abc import Sequence
from contextlib import suppress

from shared.corpora.corpus import Corpus, titles_of
from shared.errors import SettingsError


def check_apart(teaching: Sequence[Corpus], tests: Sequence[Corpus] = ()) -> None:
    """Refuse corpora that teach and have recordings in common, or have some with one that tests.

    What corpora, speakers and files are called does not matter: their content does. Of a recording
    that was converted, or cut otherwise, nothing is known here.

    Parameters
    ----------
    teaching
        Corpora that teach a model.
    tests
        Corpora that it is tested on; among each other they may have recordings in common.

    Raises
    ------
    SettingsError
        If a recording is in two of them.
    """
    if len(teaching) + len(tests) == 1:  # nothing to compare it with, so nothing is read
        return
    titles = titles_of([*teaching, *tests])
    taught: dict[str, tuple[str, str]] = {}
    for place, (title, corpus) in enumerate(zip(titles, [*teaching, *tests], strict=True)):
        own = _recordings(corpus)
        for key, clip in own.items():
            if key in taught:
                other, name = taught[key]
                raise SettingsError(
                    f"{other} and {title} have recordings in common: {name} of the one is {clip} "
                    "of the other.",
                    "Take them out of one of the two: who is tested must not have taught, and who "
                    "teaches counts once.",
                )
        if place < len(teaching):
            taught |= {key: (title, clip) for key, clip in own.items()}


def _recordings(corpus: Corpus) -> dict[str, str]:
    """Name the clips of a corpus by their content; those that cannot be read teach nothing."""
    found = {}
    for clip in corpus.clips:
        with suppress(OSError):
            found[clip.content_key()] = clip.identifier
    return found

"""Speech corpora: what each is, and its loader.

A package offers its own by an entry point of ``chorus.corpora``; an option names one's own as
``package.module:Name``. Both stand for a :class:`Loader`. See ``docs/corpora.md``.

>>> corpus = load_corpus("ravdess", Path("ravdess"))    # doctest: +SKIP
>>> corpus.clips[0].label                             # doctest: +SKIP
'neutral'
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.corpora import (
    casia,
    cremad,
    emodb,
    emovo,
    esd,
    iemocap,
    manifest,
    meld,
    nemo,
    ravdess,
    savee,
    shemo,
    synthetic,
    synthetic_multimodal,
    tess,
)
from shared.corpora.corpus import AudioFile, Clip, Corpus, CorpusInfo, titles_of
from shared.corpora.labels import label_of
from shared.errors import CorpusError, SettingsError
from shared.registry import Registry
from shared.task import DEFAULT_TASK, Task

__all__ = [
    "CORPORA",
    "AudioFile",
    "Clip",
    "Corpus",
    "CorpusInfo",
    "Loader",
    "label_of",
    "load_corpus",
    "load_speech",
    "titles_of",
]


@dataclass(frozen=True, slots=True)
class Loader:
    """A corpus that can be loaded.

    Attributes
    ----------
    info
        Facts about it.
    load
        Reads its clips: called with its folder, unless it is made on the spot, the task, and its
        options.
    """

    info: CorpusInfo
    load: Callable[..., Corpus]

    @property
    def options(self) -> tuple[str, ...]:
        """Names of its options."""
        parameters = inspect.signature(self.load).parameters.values()
        return tuple(option.name for option in parameters if option.kind is option.KEYWORD_ONLY)


def _check(thing: Any) -> Loader:
    if not isinstance(thing, Loader):
        raise TypeError("it should be a shared.corpora.Loader")
    return thing


CORPORA: Final[Registry[Loader]] = Registry(
    "corpus",
    {
        loader.info.name: loader
        for loader in (
            Loader(iemocap.INFO, iemocap.load),
            Loader(ravdess.INFO, ravdess.load),
            Loader(emodb.INFO, emodb.load),
            Loader(cremad.INFO, cremad.load),
            Loader(nemo.INFO, nemo.load),
            Loader(tess.INFO, tess.load),
            Loader(savee.INFO, savee.load),
            Loader(emovo.INFO, emovo.load),
            Loader(esd.INFO, esd.load),
            Loader(casia.INFO, casia.load),
            Loader(shemo.INFO, shemo.load),
            Loader(meld.INFO, meld.load),
            Loader(manifest.INFO, manifest.load),
            Loader(synthetic.INFO, synthetic.load),
            Loader(synthetic_multimodal.INFO, synthetic_multimodal.load),
        )
    },
    _check,
    group="chorus.corpora",
)
"""Every corpus, by its name."""


def load_corpus(
    name: str, data: Path | None = None, task: Task = DEFAULT_TASK, **options: Any
) -> Corpus:
    """Load a corpus.

    Parameters
    ----------
    name
        One of :data:`CORPORA`, or ``package.module:Name``.
    data
        Where it is; not for a corpus that is made on the spot.
    task
        Whose labels the clips get.
    **options
        Of this corpus, as its loader documents them.

    Raises
    ------
    SettingsError
        If there is no corpus of that name, it cannot be imported, or it has no such option.
    CorpusError
        If it is not at ``data``, is damaged, has no clip with a label of the task, or its loader
        gives clips another label.
    """
    corpus = load_speech(name, data, task, **options)
    if not corpus.labelled:
        raise CorpusError(
            f"{data or name} holds {len(corpus.clips)} clips, none of them labelled "
            f"with one of {', '.join(task.names)}."
        )
    return corpus


def load_speech(
    name: str, data: Path | None = None, task: Task = DEFAULT_TASK, **options: Any
) -> Corpus:
    """Load a corpus as :func:`load_corpus` does, but no clip needs a label of the task."""
    if name not in CORPORA:
        raise SettingsError(
            f"There is no corpus {name!r}.",
            f"Choose one of {', '.join(CORPORA)}; 'edge-client corpora' describes them.",
        )
    loader = CORPORA.get(name)
    for option in options:
        if option not in loader.options:
            known = f"it has {', '.join(loader.options)}" if loader.options else "it has none"
            raise SettingsError(f"The corpus {name} has no option {option}: {known}.")
    if not loader.info.tree:
        if data is not None:
            raise SettingsError(f"The corpus {name} is made on the spot.", "Leave out --data.")
        corpus = loader.load(task=task, **options)
    elif data is None:
        raise CorpusError(
            f"The corpus {name} needs its files.",
            f"Name their place with --data PATH. To obtain them: {loader.info.obtain}.",
        )
    else:
        corpus = loader.load(data, task, **options)
    if odd := {clip.label for clip in corpus.labelled}.difference(task.names):
        raise CorpusError(
            f"The loader of {name} gives clips the label {min(map(str, odd))}, which is none of "
            f"{', '.join(task.names)}.",
            "Let it ask shared.corpora.label_of; clips of no such label have None.",
        )
    return corpus

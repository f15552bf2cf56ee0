"""Vectors of sentences: what is said, as numbers that a model can learn from.

An encoder is asked for by name. ``words`` counts words and needs no weights. A folder holds a
sentence encoder such as all-MiniLM-L6-v2 (Wang et al., 2020, arXiv 2002.10957): ``model.onnx`` and
``tokenizer.json``. ``OWNER/NAME`` is a model of the Hugging Face hub with both.
"""

import re
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import MissingPartError, SettingsError, reason_of
from shared.storage.files import sha256_of
from shared.storage.folders import expanded

WORDS: Final = "words"
"""Name of the encoder that counts words."""

_FIRST_WORDS: Final = "words 1"
"""What its first version, which devices may have models of, is called in files."""

Vectors = NDArray[np.float32]
"""Of sentences, shape ``(n, width)``: each of length ``sqrt(width)``, so that its values are of a
size of about 1; zeros for a sentence without words."""

_LONGEST: Final = 128
"""Tokens of a sentence that are read, as all-MiniLM-L6-v2 was trained."""

_AT_ONCE: Final = 32
"""Sentences that are computed together."""

_INSTALL: Final = "Install it with: pip install 'chorus-edge[words]'"


class SentenceEncoder(Protocol):
    """Turns sentences into vectors.

    Attributes
    ----------
    name
        What it is, with a digest of its weights: vectors of another one are others.
    width
        Values of a vector.
    """

    name: str
    width: int

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Compute the vectors of sentences."""
        ...


def spelt(text: str, belongs: Callable[[str], bool]) -> str:
    """Write a text in small letters and single spaces, in one way whatever its script.

    A letter and its marks are one character where there is such a one (NFC). Other marks, such as
    the vowels of Devanagari, go with what they stand on.

    Parameters
    ----------
    text
        What is said.
    belongs
        Whether a character that is no mark belongs to a word; any other parts two words.
    """
    found, within = [], False
    for own in unicodedata.normalize("NFC", text.lower()):
        within = belongs(own) or (within and unicodedata.category(own).startswith("M"))
        found.append(own if within else " ")
    return " ".join("".join(found).split())


class CountedWords:
    """Counts words and pairs of neighbours, each in one of 256 places that its checksum chooses.

    The hashing trick (Weinberger et al., 2009, arXiv 0902.2206), for where no weights are at hand.

    Parameters
    ----------
    first
        Whether to count as the first version did, which took words apart at their marks: for models
        that were trained so.
    """

    width = 256

    def __init__(self, *, first: bool = False) -> None:
        self._first = first
        self.name = _FIRST_WORDS if first else "words 2"

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Compute the vectors of sentences; see :class:`SentenceEncoder`."""
        counts = np.zeros((len(texts), self.width), np.float32)
        for row, text in zip(counts, texts, strict=True):
            words = (
                re.findall(r"\w+", text.lower())
                if self._first
                else spelt(text, str.isalnum).split()
            )
            for term in (*words, *map(" ".join, pairwise(words))):
                checksum = zlib.crc32(term.encode())
                row[checksum % self.width] += 1 if checksum & 1 << 31 else -1
        return _scaled(counts)


class OnnxSentences:
    """A transformer in ONNX; its tokens' vectors are averaged, as sentence-transformers does.

    Parameters
    ----------
    folder
        Holds ``model.onnx``, or ``onnx/model.onnx``, and ``tokenizer.json``.

    Raises
    ------
    SettingsError
        If it does not, or they cannot be read.
    MissingPartError
        If onnxruntime or tokenizers is not installed.
    """

    def __init__(self, folder: Path) -> None:
        places = (folder / "model.onnx", folder / "onnx" / "model.onnx")
        model = next((path for path in places if path.is_file()), None)
        tokens = folder / "tokenizer.json"
        if model is None or not tokens.is_file():
            missing = tokens.name if model else places[0].name
            raise SettingsError(
                f"There is no sentence encoder in {folder}: {missing} is missing.",
                "Name a folder with model.onnx and tokenizer.json, or 'words'.",
            )
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingPartError(
                f"A sentence encoder needs {error.name}, which is not installed.", _INSTALL
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(tokens))
            self._session: Any = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # both libraries raise kinds of their own
            raise SettingsError(
                f"The sentence encoder in {folder} cannot be used: {reason_of(error)}.",
                "Take it as it was published, in ONNX.",
            ) from error
        self._tokenizer.enable_truncation(_LONGEST)
        self._tokenizer.enable_padding()
        self._inputs = {each.name for each in self._session.get_inputs()}
        self.name = f"onnx {sha256_of(model)}"
        self.width = int(self._session.get_outputs()[0].shape[-1])

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Compute the vectors of sentences; see :class:`SentenceEncoder`."""
        found = np.zeros((len(texts), self.width), np.float32)
        spoken = [place for place, text in enumerate(texts) if text.strip()]
        for start in range(0, len(spoken), _AT_ONCE):
            some = spoken[start : start + _AT_ONCE]
            found[some] = self._computed([texts[place] for place in some])
        return _scaled(found)

    def _computed(self, texts: Sequence[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch(list(texts))
        given = {
            "input_ids": np.array([each.ids for each in encoded], np.int64),
            "attention_mask": np.array([each.attention_mask for each in encoded], np.int64),
            "token_type_ids": np.array([each.type_ids for each in encoded], np.int64),
        }
        inputs = {name: values for name, values in given.items() if name in self._inputs}
        output: NDArray[np.float32] = self._session.run(None, inputs)[0]
        if output.ndim == 2:  # noqa: PLR2004 -- one row a sentence: it is averaged already
            return output
        mask = given["attention_mask"][..., None].astype(np.float32)
        mean: NDArray[np.float32] = (output * mask).sum(axis=1) / mask.sum(axis=1)
        return mean


def sentence_encoder(name: str, trained: str = "") -> SentenceEncoder:
    """Give the sentence encoder of a name, a folder, or a model of the hub.

    Parameters
    ----------
    name
        As ``--sentences`` takes it.
    trained
        What the file of a model calls the encoder that it was trained with: words are counted as
        then.

    Raises
    ------
    SettingsError
        If there is none, or it cannot be read.
    MissingPartError
        If a package that it needs is not installed.
    """
    if name == WORDS:
        return CountedWords(first=trained == _FIRST_WORDS)
    folder = expanded(Path(name))
    return OnnxSentences(folder if folder.is_dir() else _from_hub(name))


def _from_hub(name: str) -> Path:
    """Find a model of the hub, where the hub's own library keeps or fetches it."""
    missing = SettingsError(
        f"There is no sentence encoder {name}.",
        "Name a folder with model.onnx and tokenizer.json, a model of the Hugging Face hub that "
        "is here or can be fetched, or 'words'.",
    )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise missing
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing from error
    try:
        return Path(snapshot_download(name, allow_patterns=["tokenizer.json", "onnx/model.onnx"]))
    except Exception as error:  # whatever the network or the hub says: it is not there
        raise missing from error


def _scaled(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) / np.sqrt(vectors.shape[1])
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)

"""Words by faster-whisper, which knows its models by name or folder."""

from pathlib import Path
from typing import Any

from shared.audio import Samples
from shared.errors import MissingPartError, SettingsError, reason_of
from shared.storage.folders import expanded


class Whisper:
    """Recognises words with a model of faster-whisper, in int8 on one core.

    Parameters
    ----------
    model
        Its name (``tiny.en``), which the library fetches once, or the folder of its files.

    Raises
    ------
    MissingPartError
        If faster-whisper is not installed.
    SettingsError
        If there is no such model.
    """

    def __init__(self, model: str) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingPartError(
                "Recognising words needs faster-whisper, which is not installed.",
                "Install it with: pip install 'chorus-edge[words]'",
            ) from error
        folder = expanded(Path(model))
        try:
            self._model: Any = WhisperModel(
                str(folder) if folder.is_dir() else model,
                device="cpu",
                compute_type="int8",
                cpu_threads=1,
            )
        except Exception as error:  # the library and the hub raise kinds of their own
            raise SettingsError(
                f"There is no speech recogniser {model}: {reason_of(error)}.",
                "Name a model of faster-whisper that is here or can be fetched (tiny.en), or the "
                "folder of its files.",
            ) from error

    def words(self, samples: Samples) -> str:
        """Recognise an utterance; empty if nothing is understood.

        Parameters
        ----------
        samples
            Shape ``(samples,)``, float32, 16 kHz.
        """
        segments, _ = self._model.transcribe(
            samples,
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        return " ".join(segment.text.strip() for segment in segments).strip()

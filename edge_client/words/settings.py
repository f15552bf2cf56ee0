"""Whether a device recognises words, with what, and what for."""

from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import model_validator

from shared.mqtt.addresses import is_loopback, split_address
from shared.settings import Settings

WYOMING: Final = "wyoming://"
MQTT: Final = "mqtt://"


class WordsSettings(Settings):
    """What a device does with what is said; nothing unless it is asked to."""

    panel: ClassVar[str] = "Words"

    words: str | None = None
    """Recognise what is said, on this machine: a model of faster-whisper by name (tiny.en, base),
    or its folder; or take it from a recogniser of your own here: wyoming://127.0.0.1:PORT, or
    mqtt://127.0.0.1/TOPIC. The words stay in memory, and go nowhere."""
    show_words: bool = False
    """Show them in this terminal, or in the lines of --headless; never on the page."""
    fusion: Path | None = None
    """A model of `edge-client experiment fusion`: the words count in what is recognised."""
    sentences: str = "words"
    """What makes vectors of sentences for that model, as it was trained: words, or the folder or
    name of a sentence encoder in ONNX."""

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        if self.words is None:
            if self.show_words or self.fusion:
                raise ValueError(
                    "to show words or to fuse them they must be recognised: give words"
                )
            return self
        if not (self.show_words or self.fusion):
            raise ValueError("say what words are for: show_words, or fusion FILE")
        for scheme, port in ((WYOMING, 10300), (MQTT, 1883)):
            if self.words.startswith(scheme):
                place, _, topic = self.words.removeprefix(scheme).partition("/")
                host, _ = split_address(place, port)
                if not is_loopback(host):
                    raise ValueError(
                        f"{self.words} is another machine; what is said does not leave this one. "
                        "Name 127.0.0.1"
                    )
                if scheme == MQTT and (not topic or set("+#\0") & set(topic)):
                    raise ValueError(f"{self.words} should end in a topic: {MQTT}127.0.0.1/TOPIC")
        return self

"""Frozen speech encoders: the first layers of a Whisper, which turn an utterance into one vector.

``tiny-en.safetensors`` is the one that comes with the package; ``tiny-en.md`` says what it is.
"""

"""Hearing: sound from a microphone or a recording, cut into utterances."""

"""Hearing: sound from a microphone or a recording, cut into utterances.

Features and models are not known here.
"""

"""What studies are tried on."""

import pytest

from shared.corpora import synthetic


@pytest.fixture
def few_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the synthetic corpus be small: an encoder hears each clip at three speeds."""
    few = {"speakers": 4, "clips_per_speaker": 4}
    defaults = {**(synthetic.load.__kwdefaults__ or {}), **few}
    monkeypatch.setattr(synthetic.load, "__kwdefaults__", defaults)

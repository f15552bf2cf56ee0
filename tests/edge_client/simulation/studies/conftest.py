"""What studies are tried on."""

import pytest

from shared.corpora import synthetic


@pytest.fixture
def few_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the synthetic corpus have four voices: an encoder hears each clip at three speeds."""
    defaults = {**(synthetic.load.__kwdefaults__ or {}), "speakers": 4}
    monkeypatch.setattr(synthetic.load, "__kwdefaults__", defaults)

"""Files of keys."""

from contextlib import suppress
from pathlib import Path

from shared.errors import TrustError
from shared.trust.keys import SecretKey

KEY = SecretKey(bytes(range(32)))


def test_a_key_with_any_bit_turned_is_another_key_or_refused_in_a_sentence(tmp_path: Path) -> None:
    """One of them says that it is X448, of too few bytes: an error within OpenSSL."""
    text, path = KEY.pem, tmp_path / "key.pem"
    refused = 0
    for place in range(8 * len(text)):
        turned = bytearray(text)
        turned[place // 8] ^= 1 << place % 8
        with suppress(TrustError):
            SecretKey.of(bytes(turned), path)
            continue
        refused += 1
    assert refused > len(text), "most of them"

"""Who says what: keys, signatures, counters, and the link of an invitation.

Nothing here is of our own making but what is signed: Ed25519 (RFC 8032), HMAC-SHA256 (RFC 2104),
HKDF-SHA256 (RFC 5869) and X.509 pins, all by the package ``cryptography`` and the standard library.
"""

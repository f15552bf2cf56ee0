"""The message of a masked update: what names the round, and the packed values behind it."""

from shared.errors import SecureError
from shared.secure.masks import Numbers, packed, packed_size, unpacked
from shared.secure.terms import Terms


def encoded(terms: Terms, values: Numbers) -> bytes:
    """Write a masked update of ``terms.length`` values below 2^bits."""
    return terms.identity + packed(values, terms.bits)


def decoded(terms: Terms, message: bytes) -> Numbers:
    """Read a masked update.

    Raises
    ------
    SecureError
        If it is of another round, or has not the length that it should have.
    """
    identity = terms.identity
    if not message.startswith(identity):
        raise SecureError("This masked update is of another secure round.", reason="foreign")
    try:
        return unpacked(message[len(identity) :], terms.length, terms.bits)
    except ValueError as error:
        raise SecureError(
            f"This masked update cannot be read: {error}.",
            "Use the same version of chorus-edge on all machines.",
            reason="damaged",
        ) from error


def size(terms: Terms) -> int:
    """Give the bytes of a masked update."""
    return len(terms.identity) + packed_size(terms.length, terms.bits)

"""TLS sockets that close where TLS does not come about, also by a broker's certificate alone.

Of a broker that is known so, no authority, no name and no date is asked: the certificate is the one
that was named, or the connection ends before anything is sent over it.
"""

import hashlib
import hmac
import ssl


class WrongCertificateError(ssl.SSLError):
    """The broker shows another certificate than the one it is known by."""


class ClosingSocket(ssl.SSLSocket):
    """A socket that closes when its handshake fails; paho, which makes it, leaves it open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 -- as SSLSocket has it
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class _PinnedSocket(ClosingSocket):
    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 -- as SSLSocket has it
        super().do_handshake(block)
        shown = self.getpeercert(binary_form=True) or b""
        pin = self.context.pin if isinstance(self.context, _PinnedContext) else b""
        if not hmac.compare_digest(hashlib.sha256(shown).digest(), pin):
            self.close()
            raise WrongCertificateError("another certificate")


class _PinnedContext(ssl.SSLContext):
    sslsocket_class = _PinnedSocket
    pin = b""


def pinned_context(fingerprint: str) -> ssl.SSLContext:
    """Make ready what TLS needs to know a broker by the SHA-256 of its certificate.

    Parameters
    ----------
    fingerprint
        In hexadecimal.
    """
    context = _PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The pin is looked at in place of it, right after the handshake.
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.pin = bytes.fromhex(fingerprint)
    return context

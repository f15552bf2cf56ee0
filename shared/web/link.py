"""The link to the page, as text and as a picture for a phone's camera."""

import io
import socket
import sys
from ipaddress import ip_address
from urllib.parse import quote

from shared.command import progress_console


def link(host: str, port: int, token: str) -> str:
    """Write the link to a page.

    Parameters
    ----------
    host
        What the server listens at. If that is all of the machine's addresses (``0.0.0.0``,
        ``::``), the link has the one by which other machines reach it.
    port, token
        Of the server.
    """
    try:
        everywhere = ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if everywhere:
        host = _outward_address()
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{port}/?token={quote(token, safe='')}"


def _outward_address() -> str:
    """Find this machine's address in its network, or its name if there is none."""
    # A UDP socket is told its route without anything being sent. The address is one of those
    # set aside for documentation (RFC 5737): any that is not ours will do.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return f"{socket.gethostname()}.local"
        address: str = probe.getsockname()[0]
        return address


def qr_code(text: str) -> str:
    """Draw a QR code (ISO/IEC 18004) in half blocks, for a terminal.

    The blocks are the light parts: print them in white on black, or a terminal that writes black
    on white turns the code into its negative, which not all cameras read.

    Parameters
    ----------
    text
        What it says, at most 2953 bytes.
    """
    import segno

    drawing = io.StringIO()
    segno.make_qr(text, error="l").terminal(drawing, border=2, compact=True)
    return drawing.getvalue()


def show_link(address: str) -> None:
    """Print the link to standard error, and in a terminal its QR code too."""
    console = progress_console()
    console.print(f"The page: {address}", soft_wrap=True, markup=False)
    if sys.stderr.isatty():
        # Dark on light, as cameras want it, whatever the terminal's own colours are.
        console.print(qr_code(address), soft_wrap=True, style="#ffffff on #000000")

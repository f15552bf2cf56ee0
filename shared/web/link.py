"""The link to the page, as text and as a picture for a phone's camera."""

import io
import sys
from urllib.parse import quote

from shared.command import progress_console
from shared.mqtt.addresses import is_everywhere, outward_address


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
    if is_everywhere(host):
        host = outward_address()
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{port}/?token={quote(token, safe='')}"


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


def qr_path(text: str) -> tuple[int, str]:
    """Draw a QR code as a path of SVG, black on white.

    Parameters
    ----------
    text
        What it says, at most 2953 bytes.

    Returns
    -------
    size : int
        Width and height, its white border of 4 included.
    path : str
        What is black, a square of 1 each.
    """
    import segno

    rows = list(segno.make_qr(text, error="l").matrix_iter(border=4))
    squares = (
        f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    return len(rows), "".join(squares)


def show_link(address: str) -> None:
    """Print the link to standard error, and in a terminal its QR code too."""
    console = progress_console()
    console.print(f"The page: {address}", soft_wrap=True)
    if sys.stderr.isatty():
        show_qr_code(address)


def show_qr_code(text: str) -> None:
    """Print a QR code to standard error."""
    # Dark on light, as cameras want it, whatever the terminal's own colours are.
    style = "#ffffff on #000000"
    progress_console().print(qr_code(text), soft_wrap=True, style=style)

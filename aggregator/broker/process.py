"""The process of the embedded broker; :mod:`aggregator.broker.embedded` starts it."""

import asyncio
import logging
import resource
import socket
import sys
from pathlib import Path
from typing import Final

from aggregator.broker.accounts import Accounts, AccountsAt
from aggregator.broker.broker import Broker, Session
from aggregator.broker.certificate import tls_with
from aggregator.broker.door import let_in
from shared.command.log_bound import LogBound, ShortLines
from shared.errors import ChorusError

log = logging.getLogger(__name__)

_FILES: Final = 2048
"""Files that the process has open at most: connections, and what Python needs."""


async def serve(listening: socket.socket, largest: int, at: AccountsAt | None) -> None:
    """Serve those who connect, for ever.

    Parameters
    ----------
    listening
        Where they come.
    largest
        Bytes that a message may have.
    at
        Where accounts and the certificate are; without it everybody may come, without TLS.

    Raises
    ------
    TrustError
        If the certificate, or the list of accounts, cannot be used.
    StorageError
        If that list cannot be read.
    """
    broker = Broker(largest, accounts=Accounts(at) if at else None)
    tls = tls_with(at.certificate) if at else None
    await asyncio.gather(broker.serve(), let_in(listening, lambda: Session(broker), tls))


def main() -> None:
    """Serve for ever: :mod:`aggregator.broker.parent` ends the process with the aggregator.

    The arguments are the number of a listening socket, the bytes of a message, and for a federation
    by invitation what :class:`AccountsAt` has.
    """
    logging.basicConfig()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(ShortLines("broker: %(message)s"))
        handler.addFilter(LogBound())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    _, listening, largest, *at = sys.argv
    accounts = AccountsAt(Path(at[0]), at[1], Path(at[2])) if at else None
    try:
        asyncio.run(serve(socket.socket(fileno=int(listening)), int(largest), accounts))
    except ChorusError as error:
        log.error("%s", error.message)  # noqa: TRY400 -- the user can put it right
        sys.exit(error.exit_code)

"""The page of a device: what it hears, and its user's answers, on a phone.

:func:`edge_client.web.server.serve` serves the page of a device,
:func:`shared.web.link.qr_code` draws its link for a terminal. ``docs/web.md`` is for its user.

The server is the standard library's, one thread a connection, where an asynchronous framework
might be expected. It runs on the device beside training, for one or two people, and what it calls
(the store, the microphone) blocks, so threads are wanted anyway. Beside what a device has already,
Starlette with Uvicorn would be five more packages (4 MB on disk, 4 MB of memory once imported),
aiohttp nine, some of them compiled (14 MB, 12 MB); the standard library's takes 2 MB of memory.
Neither of them ends a request whose headers never arrive in full, so that bound would be our own
code all the same: see :class:`edge_client.web.handler.Incoming`.
"""

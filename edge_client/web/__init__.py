"""The page of a device: what it hears, and its user's answers, on a phone.

:func:`edge_client.web.server.serve` serves it. Here are its routes, what its events tell, and its
files; what any page needs is in :mod:`shared.web`. ``docs/web.md`` is for its user.
"""

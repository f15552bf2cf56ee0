"""The process that serves: messages, uploads, distribution, and what is shown of it.

:class:`~aggregator.server.service.Service` joins the parts; all of them stand on its one
:class:`~shared.loop.Loop`.

Nothing here decides what a round is (:mod:`aggregator.rounds`) or writes rows
(:mod:`aggregator.ledger`).
"""

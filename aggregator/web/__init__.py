"""The operator's page: how a federation does, in a browser, and as figures for Prometheus.

It reads the ledger over a connection of its own, which can write nothing, in threads of its own;
what is under way it looks up in the rounds' attributes. So no browser ever keeps the service
waiting. What a person may order from it is done by the service, and by what invites and shuts out.
"""

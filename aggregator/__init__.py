"""What runs on the server: rounds, strategies, the ledger and the models it publishes."""

.PHONY: demo federation test check wheel

# A federation of four clients on the built-in synthetic corpus, in runs/demo.
demo:
	@scripts/setup
	@.venv/bin/edge-client simulate --corpus synthetic --clients 4 --rounds 10 --out runs/demo --overwrite

# Broker, aggregator and four devices as real processes on this machine, in runs/federation.
federation:
	@scripts/setup
	@.venv/bin/python scripts/federation.py runs/federation

# What docs/deploy.md installs, in dist.
wheel:
	@scripts/wheel

test:
	@scripts/test

check:
	@scripts/check

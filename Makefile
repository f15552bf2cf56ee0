.PHONY: demo test check

# A federation of four clients on the built-in synthetic corpus, in runs/demo.
demo:
	@scripts/setup
	@.venv/bin/edge-client simulate --corpus synthetic --clients 4 --rounds 10 --out runs/demo --overwrite

test:
	@scripts/test

check:
	@scripts/check

"""Speech encoders, made of the weights that others publish: read without running code of theirs."""

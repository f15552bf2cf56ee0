"""The language that devices and the aggregator both speak."""

"""The broker that ``aggregator serve --embedded-broker`` brings along."""

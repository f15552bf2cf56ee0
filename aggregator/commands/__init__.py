"""The commands of ``aggregator``, one file each."""

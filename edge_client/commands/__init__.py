"""The commands of ``edge-client``, one module each."""

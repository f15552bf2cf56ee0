"""The commands of ``edge-client``, one file each: their options, and what they print.

The work is done elsewhere; a command calls it.
"""

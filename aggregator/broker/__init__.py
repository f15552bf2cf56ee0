"""The broker that ``aggregator serve --embedded-broker`` brings along, in a process of its own.

It is for a first try. Nothing of the federation's messages is known here: they are
:mod:`shared.protocol`.
"""

"""Keras definitions of the models, and their export to TFLite files.

It imports :mod:`shared` alone, and TensorFlow. Nothing that a device needs may be here: devices
build their graphs with :mod:`shared.graphs`.
"""

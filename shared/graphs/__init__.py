"""TFLite graphs of the models, written op by op: what a device runs, and builds by itself.

Graphs are written here, not run: that is :mod:`shared.tflite`. No TensorFlow.
"""

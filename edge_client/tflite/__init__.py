"""The device's training engine: steps and logits with TFLite graphs, without TensorFlow.

The graphs are written by :mod:`shared.graphs`; what a step is for is known to
:mod:`edge_client.learning`.
"""

"""Layers that Keras itself does not have. Importing this imports Keras."""

from typing import Any

import keras

from shared.layers import POOLING_EPSILON


class StatisticsPooling(keras.layers.Layer):  # type: ignore[misc] # Keras publishes no types
    """Mean and standard deviation over time; see :class:`shared.architectures.StatisticsPooling`.

    Call it with ``(n, T, channels)``, and with what each frame counts, ``(n, T)``; all count the
    same if that is not given. It gives ``(n, 2 * channels)``.
    """

    def call(self, inputs: Any, shares: Any = None) -> Any:
        """Pool."""
        ops = keras.ops
        if shares is None:
            shares = ops.ones_like(inputs[:, :, 0]) / ops.cast(ops.shape(inputs)[1], "float32")
        weights = ops.expand_dims(shares, 2)
        mean = ops.sum(weights * inputs, axis=1, keepdims=True)
        variance = ops.sum(weights * ops.square(inputs - mean), axis=1)
        deviation = ops.sqrt(variance + POOLING_EPSILON)
        return ops.concatenate([ops.squeeze(mean, 1), deviation], axis=1)

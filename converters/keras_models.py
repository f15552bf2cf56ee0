"""Models as Keras models, built from their description in ``shared.architectures``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.architectures import Architecture
from shared.layers import DROPOUT, LSTM, Conv1D, Dense, StatisticsPooling
from shared.weights import Weights, split

if TYPE_CHECKING:
    import keras


def build(architecture: Architecture, *, dropout: float = DROPOUT) -> "keras.Model":
    """Build the Keras model of an architecture.

    Parameters
    ----------
    architecture
        Which.
    dropout
        Rate behind each hidden convolution and dense layer.

    Returns
    -------
    keras.Model
        Input ``(batch, frames, features)``, any number of frames where lengths vary; output logits
        ``(batch, labels)``. Its trainable variables stand in the order of
        ``architecture.manifest``. See :func:`forward` for true lengths.
    """
    import keras

    from converters import keras_layers

    frames = None if architecture.variable else architecture.frames
    layers: list[Any] = [keras.Input((frames, architecture.features))]
    flat = False
    for layer in architecture.layers:
        match layer:
            case Conv1D(name=name, filters=filters, kernel=kernel):
                convolution = keras.layers.Conv1D(
                    filters,
                    kernel,
                    strides=layer.stride,
                    dilation_rate=layer.dilation,
                    activation="relu",
                    name=name,
                )
                layers.append(convolution)
            case StatisticsPooling(name=name):
                layers.append(keras_layers.StatisticsPooling(name=name))
                flat = True
            case LSTM(name=name, units=units, sequences=sequences):
                layers.append(keras.layers.LSTM(units, return_sequences=sequences, name=name))
                flat = not sequences
            case Dense(name=name, units=units, hidden=hidden):
                if not flat:
                    layers.append(keras.layers.Flatten())
                    flat = True
                activation = "relu" if hidden else None
                layers.append(keras.layers.Dense(units, activation=activation, name=name))
        if isinstance(layer, Conv1D) or (isinstance(layer, Dense) and layer.hidden):
            layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential(layers, name=architecture.name)


def forward(
    model: "keras.Model",
    features: Any,
    shares: Any = None,
    dropout: Callable[[int, Any], Any] | None = None,
) -> Any:
    """Compute logits layer by layer.

    Parameters
    ----------
    model
        As :func:`build` makes it.
    features
        Shape ``(n, L, features)``.
    shares
        What frames count where the model pools over time (:func:`shared.lengths.shares`).
    dropout
        Applies the dropout of the layer of this number; there is none if not given.
    """
    values = features
    for number, layer in enumerate(model.layers):
        kind = type(layer).__name__
        if kind == StatisticsPooling.__name__:
            values = layer(values, shares)
        elif kind != "Dropout":
            values = layer(values)
        elif dropout:
            values = dropout(number, values)
    return values


def set_weights(model: "keras.Model", architecture: Architecture, weights: Weights) -> None:
    """Copy a flat vector of weights into a Keras model of the same architecture."""
    tensors = split(weights, architecture).values()
    for variable, tensor in zip(model.trainable_variables, tensors, strict=True):
        variable.assign(tensor)

"""The three models as Keras models, built from their description in ``shared.architectures``."""

from typing import TYPE_CHECKING, Any

from shared.architectures import DROPOUT, FEATURES, FRAMES, LSTM, Architecture, Conv1D, Dense
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
        Input ``(batch, 100, 34)``, output logits ``(batch, 4)``. Its trainable variables stand
        in the order of ``architecture.manifest``.
    """
    import keras

    layers: list[Any] = [keras.Input((FRAMES, FEATURES))]
    flat = False
    for layer in architecture.layers:
        match layer:
            case Conv1D(name=name, filters=filters, kernel=kernel):
                layers.append(keras.layers.Conv1D(filters, kernel, activation="relu", name=name))
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


def set_weights(model: "keras.Model", architecture: Architecture, weights: Weights) -> None:
    """Copy a flat vector of weights into a Keras model of the same architecture."""
    tensors = split(weights, architecture).values()
    for variable, tensor in zip(model.trainable_variables, tensors, strict=True):
        variable.assign(tensor)

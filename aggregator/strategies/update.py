"""What a client contributes to a round, as strategies see it."""

from dataclasses import dataclass

from shared.weights import Vector


@dataclass(frozen=True, slots=True)
class Update:
    """What one client contributes to a round.

    Attributes
    ----------
    client
        Its name. Updates are taken in the order of their names, so that the result does not
        depend on the order in which they arrive.
    examples
        Number of examples it trained on.
    delta
        Its weights after training minus the round's global weights, shape ``(parameters,)``.
    control
        SCAFFOLD's change of the client's control variate, same shape; otherwise ``None``.
    """

    client: str
    examples: int
    delta: Vector
    control: Vector | None = None

"""A clock that is set by hand."""


class Clock:
    """Gives the seconds that a test sets.

    Parameters
    ----------
    now
        What it shows first.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Give the seconds."""
        return self.now

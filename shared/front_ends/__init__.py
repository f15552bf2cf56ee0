"""Front ends: each makes features of sound, and lives in a file of its own.

One of your own is a :class:`FrontEnd`, named by ``package.module:Name``, by an entry point of
``chorus.front_ends``, or added by ``FRONT_ENDS.add``. See ``docs/features.md``.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.errors import AudioError, ChorusError, SettingsError, reason_of
from shared.registry import Registry
from shared.task import PAPER34, FrontEndShape

if TYPE_CHECKING:  # settings name front ends: --help does without NumPy
    from collections.abc import Callable

    from shared.audio import Samples
    from shared.frames import Frames

ENCODER_SUFFIX: Final = ".safetensors"
"""How a front end's name ends that is the file of an encoder."""

SHORTEST_HOP: Final = 1e-3
LONGEST_HOP: Final = 1.0
"""Seconds from one frame to the next that are believed."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What makes features of an utterance.

    Attributes
    ----------
    shape
        Its name, its version and the shape of its features: what a task holds of it.
    hop
        Seconds from one frame to the next; ``None`` if it pools: all of an utterance is one row.
    frame_features
        Turns samples of shape ``(samples,)``, float32, 16 kHz, into features of shape
        ``(n, features)``, one row a true frame and at most ``shape.frames`` of them. It raises
        :class:`AudioError` where the sound is too short. Best a function of a module: other
        processes can then compute with it, too.
    largest
        What no value of a feature goes beyond, either way: larger ones come of a damaged file, and
        would spoil what features are normalised by.

    Raises
    ------
    ValueError
        If the hop cannot be.
    """

    shape: FrontEndShape
    hop: float | None
    frame_features: "Callable[[Samples], Frames]"
    largest: float = 1e6

    def __post_init__(self) -> None:
        if self.hop is not None and not SHORTEST_HOP <= self.hop <= LONGEST_HOP:
            raise ValueError(
                f"the hop of {self.shape.name} should be {SHORTEST_HOP:g} to {LONGEST_HOP:g} s"
            )

    def gives(self, frames: "Frames") -> bool:
        """Say whether all values are such as it may give; shape ``(..., features)``."""
        import numpy as np

        # So put, NaN is none either.
        return bool((np.abs(frames) <= self.largest).all())

    def compute(self, samples: "Samples") -> "Frames":
        """Compute the features of an utterance's frames.

        Parameters
        ----------
        samples
            Shape ``(samples,)``, float32, 16 kHz (see :mod:`shared.audio`).

        Returns
        -------
        Frames
            Shape ``(n, features)``, float32, always finite; n is 1 to ``shape.frames``.

        Raises
        ------
        AudioError
            If there can be no features of this sound: it is too short, it is not finite, or the
            front end fails with it.
        SettingsError
            If the front end gives features of another shape than it says.
        """
        import numpy as np

        name = self.shape.name
        try:
            computed = self.frame_features(samples)
            with np.errstate(over="ignore"):  # too large for float32 is not finite, found as such
                frames = np.asarray(computed, np.float32)
        except ChorusError:
            raise
        except Exception as error:
            raise AudioError(
                f"The clip cannot be turned into features, as {name} fails with it: "
                f"{reason_of(error)}.",
                "Leave it out, or correct the front end.",
            ) from error
        wanted = (self.shape.frames, self.shape.features)
        if frames.ndim != len(wanted) or frames.shape[1] != wanted[1] or len(frames) > wanted[0]:
            raise SettingsError(
                f"The front end {name} gives features of shape {frames.shape} instead of "
                f"(1 to {wanted[0]}, {wanted[1]}).",
                "Correct the front end, or the shape that it says it has.",
            )
        if not len(frames):
            raise AudioError(f"The clip is too short for a frame of {name}.")
        if not np.isfinite(frames).all():
            raise AudioError(
                f"The clip cannot be turned into features: {name} gives values that are not "
                "finite.",
                "Leave it out, or correct the front end.",
            )
        if not self.gives(frames):
            raise AudioError(
                f"The clip cannot be turned into features: {name} gives values beyond "
                f"±{self.largest:g}.",
                "Leave it out, or let the front end say how large its values become (largest).",
            )
        return frames

    def frames_of(self, seconds: float) -> int:
        """Count the hops that make up a time, at least one; zero if it pools over time."""
        return 0 if self.hop is None else max(1, round(seconds / self.hop))


MFCC40: Final = FrontEndShape("mfcc40", version=1, frames=1000, features=40, variable=True)
"""40 mel-frequency cepstral coefficients every 10 ms, of at most 10 s."""


LARGEST_OUTPUT: Final = 1e4
"""What no output of a Whisper's layers goes beyond, either way."""

WHISPER: Final = FrontEndShape(
    "whisper-speech",
    version=1,
    frames=1,
    features=1536,
    weights="cf0582b4744a1479f707f681b53329719210420463f121dd40ed522720c0712a",
)
"""Mean and standard deviation over the speech of both layers of the encoder in the package."""

WHISPER_WHOLE: Final = replace(WHISPER, name="whisper")
"""The same over all of an utterance, its pauses too: models and federations that began with it go
on."""

TINY_EN: Final = Path(__file__).parents[1] / "encoders" / "tiny-en.safetensors"
"""That encoder's file."""


@dataclass(frozen=True, slots=True)
class EncoderFeatures:
    """Computes an utterance's one row with the encoder of a file: what front ends call."""

    path: Path
    digest: str
    speech: bool = True
    """Whether it pools over the speech alone, and not over pauses."""

    def __call__(self, samples: "Samples") -> "Frames":
        """Compute it, shape ``(1, features)``; the encoder is read at the first time."""
        from shared.front_ends.whisper import encoding_of

        return encoding_of(self.path, self.digest).vector(samples, speech=self.speech)[None]


def _paper34(samples: "Samples") -> "Frames":
    from shared.front_ends.paper34 import frame_features

    return frame_features(samples)


def _mfcc40(samples: "Samples") -> "Frames":
    from shared.front_ends.mfcc40 import frame_features

    return frame_features(samples)


def _check(thing: Any) -> FrontEnd:
    if not isinstance(thing, FrontEnd):
        raise TypeError(f"it is a {type(thing).__name__}, not a shared.front_ends.FrontEnd")
    return thing


FRONT_ENDS: Final = Registry(
    "front end",
    {
        "paper34": FrontEnd(PAPER34, 0.1, _paper34, largest=1e3),
        "mfcc40": FrontEnd(MFCC40, 0.01, _mfcc40, largest=1e4),
        WHISPER.name: FrontEnd(
            WHISPER, None, EncoderFeatures(TINY_EN, WHISPER.weights), largest=LARGEST_OUTPUT
        ),
        WHISPER_WHOLE.name: FrontEnd(
            WHISPER_WHOLE,
            None,
            EncoderFeatures(TINY_EN, WHISPER.weights, speech=False),
            largest=LARGEST_OUTPUT,
        ),
    },
    _check,
)
"""The front ends that ``--front-end`` and a task can name."""


def front_end_named(name: str) -> FrontEnd:
    """Find a front end by what an option says.

    One that is named by its module, or by its encoder's file, is known by its own name from then
    on, so that :func:`front_end_of` finds it for the task that is made of it.

    Raises
    ------
    SettingsError
        If there is none, or it goes by a name that it may not have.
    WeightsError
        If the file is neither that of an encoder nor that of a network that knows speech.
    """
    if file := file_named(name):
        from shared.front_ends.files import front_end_in

        return front_end_in(file)
    found = FRONT_ENDS.get(name)
    own = found.shape.name
    if ":" in name and own not in FRONT_ENDS:
        FRONT_ENDS.add(own, found)
    if own not in FRONT_ENDS or FRONT_ENDS.get(own) is not found:
        raise SettingsError(
            f"The front end {name} calls itself {own}, which is not its name here.",
            "Give it a name that no other has, and let its entry point have the same.",
        )
    return found


def file_named(name: str) -> Path | None:
    """Give the file that an option names as a front end; ``None`` if it names none by a file."""
    return Path(name) if name.endswith(ENCODER_SUFFIX) else None


def check_file_name(path: Path, option: str) -> None:
    """Raise :class:`SettingsError` if a file that an option names would be no front end there."""
    if path.suffix != ENCODER_SUFFIX:
        raise SettingsError(
            f"The file {path} would be no front end: its name has another ending.",
            f"Give {option} FILE{ENCODER_SUFFIX}.",
        )


def front_end_of(shape: FrontEndShape) -> FrontEnd:
    """Find what computes the features of a task.

    Parameters
    ----------
    shape
        ``task.front_end``.

    Raises
    ------
    SettingsError
        If there is no such front end here, or it is of another version, shape or encoder.
    """
    if shape.weights and not FRONT_ENDS.has(shape.name):
        raise SettingsError(
            f"The task is heard through an encoder that is not here: {shape.name}, SHA-256 "
            f"{shape.weights}.",
            f"Name its file where the program is started: --front-end FILE{ENCODER_SUFFIX}.",
        )
    found = FRONT_ENDS.get(shape.name)
    if found.shape != shape:
        raise SettingsError(
            f"The task wants features of {shape} ({shape.frames} x {shape.features}), and this "
            f"program computes {found.shape} ({found.shape.frames} x {found.shape.features}).",
            "Use the same version of chorus-edge, or of the front end's package, on all sides.",
        )
    return found

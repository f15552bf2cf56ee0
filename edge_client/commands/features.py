"""``edge-client features``: the features of clips, as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from shared.front_ends import FrontEnd


def features(
    clips: Annotated[
        list[Path],
        typer.Argument(
            metavar="CLIP", help="Audio files; a folder means all audio files below it."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where to write the features (.npz).")],
    *,
    front_end: Annotated[
        str,
        typer.Option(
            help="paper34, mfcc40, whisper-speech, an encoder's FILE.safetensors, that of an "
            "installed package, or package.module:Name."
        ),
    ] = "paper34",
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Compute the features of clips, raw (not normalised).

    paper34 is 34 features each 0.1 s, of 10 s at most; mfcc40 is 40 coefficients each 10 ms.

    The file holds `features` (n, L, features) float32, zero after each clip's end, `frames` (n,)
    int32, the true number of frames, `paths` (n,), and `front_end`, its name and version. L is 100
    for paper34; for mfcc40 the longest clip's frames, rounded up to a multiple of 50. Clips that
    cannot be used are named, left out and counted.

    Example: edge-client features recordings/ hello.wav --out features.npz
    """
    import json

    from shared.command import progress_console
    from shared.errors import AudioError
    from shared.front_ends import file_named, front_end_named
    from shared.storage.files import refuse_replacing

    computing = front_end_named(front_end)
    console = progress_console()
    paths = _expanded(clips)
    refuse_replacing([file_named(front_end), *paths], [out])
    usable = list(_usable(paths, computing, console))
    if not usable:
        raise AudioError(
            f"None of {len(paths)} clips can be used." if paths else "There are no audio files.",
            "Give audio files of at least a window (paper34: 0.2 s), or folders of them.",
        )
    _write(out, usable, computing)
    frames = sum(len(clip) for _, clip in usable)
    skipped = len(paths) - len(usable)
    if as_json:
        answer = {"clips": len(usable), "frames": frames, "skipped": skipped, "out": str(out)}
        typer.echo(json.dumps(answer))
    else:
        left = f", {skipped} skipped" if skipped else ""
        typer.echo(f"{len(usable)} clips, {frames} frames{left}: {out}")


def _expanded(clips: list[Path]) -> list[Path]:
    from shared.audio.clip_search import clips_below

    found = [path for clip in clips for path in (clips_below(clip) if clip.is_dir() else [clip])]
    return list(dict.fromkeys(found))


def _usable(
    paths: list[Path], front_end: "FrontEnd", console: "Console"
) -> "Iterator[tuple[Path, NDArray[np.float32]]]":
    from rich.progress import track
    from rich.text import Text

    from shared.errors import AudioError
    from shared.front_ends.clips import clip_features

    for path in track(
        paths, "Features", console=console, transient=True, disable=not console.is_terminal
    ):
        try:
            yield path, clip_features(path, front_end)
        except AudioError as error:
            said = Text.assemble(("skipped:", "yellow"), f" {error.problem}")
            console.print(said, soft_wrap=True)


def _write(
    out: Path, clips: "list[tuple[Path, NDArray[np.float32]]]", front_end: "FrontEnd"
) -> None:
    import numpy as np

    from shared.frames import stack
    from shared.storage.array_file import write_arrays

    arrays = {
        "features": stack([frames for _, frames in clips], front_end.shape),
        "frames": np.array([len(frames) for _, frames in clips], np.int32),
        "paths": np.array([str(path) for path, _ in clips]),
        "front_end": np.array(str(front_end.shape)),
    }
    write_arrays(out, arrays)

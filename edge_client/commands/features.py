"""``edge-client features``: the features of clips, as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console


def features(
    clips: Annotated[
        list[Path],
        typer.Argument(
            metavar="CLIP", help="Audio files; a folder means all audio files below it."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where to write the features (.npz).")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Compute the 34 features of each 0.1 s of speech, raw (not normalised).

    The file holds `features` (n, 100, 34) float32, zero after each clip's end, `frames` (n,)
    int32, the true number of frames, and `paths` (n,). Clips that cannot be used are named,
    left out and counted.

    Example: edge-client features recordings/ hello.wav --out features.npz
    """
    import json

    from shared.command import progress_console
    from shared.errors import AudioError

    console = progress_console()
    paths = _expanded(clips)
    usable = list(_usable(paths, console))
    if not usable:
        raise AudioError(
            f"None of {len(paths)} clips can be used." if paths else "There are no audio files.",
            "Give audio files of at least 0.2 s, or folders of them.",
        )
    _write(out, usable)
    frames = sum(len(clip) for _, clip in usable)
    skipped = len(paths) - len(usable)
    if as_json:
        answer = {"clips": len(usable), "frames": frames, "skipped": skipped, "out": str(out)}
        typer.echo(json.dumps(answer))
    else:
        left = f", {skipped} skipped" if skipped else ""
        typer.echo(f"{len(usable)} clips, {frames} frames{left}: {out}")


def _expanded(clips: list[Path]) -> list[Path]:
    from shared.audio import clips_below

    found = [path for clip in clips for path in (clips_below(clip) if clip.is_dir() else [clip])]
    return list(dict.fromkeys(found))


def _usable(paths: list[Path], console: "Console") -> "Iterator[tuple[Path, NDArray[np.float32]]]":
    from rich.markup import escape
    from rich.progress import track

    from shared.errors import AudioError
    from shared.front_ends.paper34 import clip_features

    for path in track(
        paths, "Features", console=console, transient=True, disable=not console.is_terminal
    ):
        try:
            yield path, clip_features(path)
        except AudioError as error:
            console.print(f"[yellow]skipped:[/] {escape(error.problem)}", soft_wrap=True)


def _write(out: Path, clips: "list[tuple[Path, NDArray[np.float32]]]") -> None:
    import numpy as np

    from shared.files import replacing
    from shared.front_ends.paper34 import pad

    # To an open file: given a name, NumPy would add `.npz` to one that ends in something else.
    with replacing(out) as aside, aside.open("wb") as file:
        np.savez(
            file,
            features=np.stack([pad(frames) for _, frames in clips]),
            frames=np.array([len(frames) for _, frames in clips], np.int32),
            paths=np.array([str(path) for path, _ in clips]),
        )

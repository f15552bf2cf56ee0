"""The command line ``converters``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from shared import command

if TYPE_CHECKING:
    from converters.inspection import Inspection

app = typer.Typer(
    name="converters",
    help="TFLite files of the models: for training and recognition on a device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.command("export-tflite")
def export_tflite(
    out: Annotated[
        Path, typer.Option(help="The file to write; with --model all, or if it exists, a folder.")
    ],
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="dense, conv, lstm, tdnn, tdnn13, mlp, head, one that a package offers, "
            "package.module:LAYERS, or all of the first; with --inference the weights say it."
        ),
    ] = None,
    inference: Annotated[
        bool, typer.Option("--inference", help="Write an inference-only file with weights inside.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(help="Those weights (.safetensors); with --inference.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="What is recognised, separated by commas, as in `simulate`; weights say it."
        ),
    ] = None,
    front_end: Annotated[
        str | None,
        typer.Option(help="What computes the features, as in `simulate`; weights say it."),
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="Write a file for each signature, as a device has them.")
    ] = False,
    quantize: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(help="How the inference-only file stores weights."),
    ] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Write TFLite files of built-in ops, checked against Keras in the installed runtime.

    Without --inference the file trains: signatures train, train_head and infer, weights as inputs.
    A file that does not compute what Keras computes is not written.

    Example: converters export-tflite --model conv --out conv.tflite

    Example: converters export-tflite --inference --weights model.safetensors --quantize int8
    --out conv.tflite
    """
    from converters.export import Job, export
    from shared.errors import SettingsError
    from shared.front_ends import file_named
    from shared.storage.files import refuse_replacing
    from shared.task_settings import TaskSettings

    if weights and not inference:
        raise SettingsError("Weights go into inference-only files.", "Add --inference.")
    if inference and not weights:
        raise SettingsError("An inference-only file needs weights.", "Give --weights.")
    if weights and (labels or front_end):
        raise SettingsError(
            "Weights say themselves what they recognise, and from which features.",
            "Leave --labels and --front-end out.",
        )
    given = {"labels": labels, "front_end": front_end}
    task = TaskSettings.parse({name: value for name, value in given.items() if value}).task
    jobs = Job.plan(model, out, weights, quantize, split=split, task=task)
    refuse_replacing([weights, file_named(front_end or "")], [job.out for job in jobs])
    rows = export(jobs, command.progress_console())
    if as_json:
        import json

        typer.echo(json.dumps(rows))
    else:
        from converters.export import table

        command.answer_console().print(table(rows))


@app.command("import-encoder")
def import_encoder_command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A faster-whisper folder, an openai-whisper .pt, or transformers' "
            "model.safetensors, of any Whisper.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="The file to write (.safetensors).")],
    *,
    layers: Annotated[
        int, typer.Option(min=1, max=32, help="How many of its layers are taken.")
    ] = 2,
    pool: Annotated[
        str | None,
        typer.Option(
            help="Which of their outputs make the vector, as in 1,2; the last two if not given."
        ),
    ] = None,
    pooling: Annotated[
        Literal["mean", "mean+std"], typer.Option(help="What of them, over time.")
    ] = "mean+std",
    int8: Annotated[bool, typer.Option("--int8/--float32", help="How weights are stored.")] = True,
) -> None:
    """Make a speech encoder of a Whisper's weights; the same weights give the same file.

    No code of the file is run. Use it by its path: --front-end FILE.safetensors --model head.

    Example: converters import-encoder faster-whisper-base --output base.safetensors
    """
    from converters.encoders.importing import import_encoder, parse_pool, weights_in
    from shared.front_ends import check_file_name
    from shared.storage.files import refuse_replacing

    check_file_name(output, "--output")
    refuse_replacing(weights_in(path), [output])
    import_encoder(path, parse_pool(layers, pool), pooling, int8=int8).write(output)
    _tell_front_end(output)


@app.command("import-speaker-encoder")
def import_speaker_encoder_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The pretrained.pt of Resemblyzer.")],
    output: Annotated[Path, typer.Option(help="The file to write (.safetensors).")],
    *,
    pool: Annotated[
        str,
        typer.Option(
            help="Layers whose outputs make the vector, as in 2,3: mean and deviation over time; "
            "or 'embedding'."
        ),
    ] = "2,3",
) -> None:
    """Make a front end of a network that tells speakers (GE2E); the same weights, the same file.

    No code of the file is run. Use it by its path: --front-end FILE.safetensors --model head.

    Example: converters import-speaker-encoder pretrained.pt --output ge2e.safetensors
    """
    from converters.encoders.speakers import import_speaker_encoder
    from shared.front_ends import check_file_name
    from shared.storage.files import refuse_replacing

    check_file_name(output, "--output")
    refuse_replacing([path], [output])
    import_speaker_encoder(path, pool).write(output)
    _tell_front_end(output)


def _tell_front_end(path: Path) -> None:
    from shared.front_ends import front_end_named

    shape = front_end_named(str(path)).shape
    typer.echo(f"{path}: {shape.features} numbers an utterance, SHA-256 {shape.weights}")


@app.command("inspect")
def inspect_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any .tflite file.")],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print signatures, ops, custom_ops and bytes as JSON.")
    ] = False,
) -> None:
    """Show a TFLite file's signatures and ops, without TensorFlow and without running it.

    Example: converters inspect conv.tflite
    """
    from dataclasses import asdict

    from converters.inspection import inspect_file

    found = inspect_file(file)
    if as_json:
        import json

        typer.echo(json.dumps(asdict(found)))
    else:
        _show(found)


def _show(found: "Inspection") -> None:
    from shared.command.log_bound import printable

    console = command.answer_console()

    def tell(text: str, style: str = "") -> None:
        # The names in a file are whatever somebody has written there.
        console.print(printable(text), style=style, soft_wrap=True)

    tell(f"{found.bytes:,} bytes")
    for name, sides in found.signatures.items():
        tell(f"\n{name}", "bold")
        for side, tensors in sides.items():
            for tensor, what in tensors.items():
                tell(f"  {side[:-1]:6} {tensor} {what['dtype']} {what['shape']}")
    tell("\nops", "bold")
    for op in found.ops:
        tell(f"  {op.count:6} {op.name} v{op.version}")
    tell(f"\ncustom ops: {', '.join(found.custom_ops) or 'none'}")


def main() -> NoReturn:
    """Run ``converters``."""
    command.run(app)

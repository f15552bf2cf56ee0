"""Writes TFLite files, each verified before it takes its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.inspection import inspect_bytes
from converters.keras_import import import_tensorflow
from converters.verification import verify_inference, verify_trainable
from shared.architectures import MODELS, OWN, Architecture, architecture_of
from shared.errors import SettingsError
from shared.graphs.files import SIGNATURES, Signature, trainable_file
from shared.graphs.inference_graph import Quantize, inference_file
from shared.storage.files import write_atomically
from shared.storage.tensor_file import TensorFile
from shared.task import DEFAULT_TASK, Task
from shared.weights import load_weights, task_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Job:
    """One file to write.

    Attributes
    ----------
    architecture
        Which model.
    out
        Where to.
    weights
        The weights of an inference-only file; ``None`` for a trainable one.
    quantize
        How an inference-only file stores them.
    signatures
        Those of a trainable file.
    """

    architecture: Architecture
    out: Path
    weights: Path | None
    quantize: Quantize
    signatures: Sequence[Signature] = SIGNATURES

    @classmethod
    def plan(
        cls,
        model: str | None,
        out: Path,
        weights: Path | None,
        quantize: Quantize,
        *,
        split: bool = False,
        task: Task = DEFAULT_TASK,
    ) -> "list[Job]":
        """Turn options into jobs.

        Raises
        ------
        SettingsError
            If they contradict each other, or a device cannot run the model.
        WeightsError
            If the weights cannot be read, or are another model's.
        """
        if weights is None:
            if model is None:
                raise SettingsError("Say which model to export.", "Give --model, or --model all.")
            if quantize != "float32":
                raise SettingsError(
                    "A trainable file holds no weights to quantise.", "Add --inference."
                )
            names = list(OWN) if model == "all" else [model]
            chosen = [_named(name, task) for name in names]
        else:
            if model == "all":
                raise SettingsError("Weights belong to one model.", "Leave --model out.")
            if model is None:
                chosen = [load_weights(weights)[1]]
            else:
                chosen = [_named(model, task_of(TensorFile(weights).metadata, str(weights)))]
            if split:
                raise SettingsError(
                    "An inference-only file has one signature.", "Leave --split out."
                )
        if split:
            return [
                cls(a, out / f"{_stem(a)}-{signature}.tflite", None, quantize, [signature])
                for a in chosen
                for signature in SIGNATURES
            ]
        folder = model == "all" or out.is_dir()
        return [
            cls(a, out / f"{_stem(a)}.tflite" if folder else out, weights, quantize) for a in chosen
        ]

    def build(self) -> tuple[bytes, str]:
        """Build the file's content, and say how it was verified."""
        if self.weights is None:
            check = verify_trainable(trainable_file(self.architecture), self.architecture)
            return trainable_file(self.architecture, self.signatures), check
        weights = load_weights(self.weights, self.architecture)
        content = inference_file(self.architecture, weights, self.quantize)
        return content, verify_inference(content, self.architecture, weights, self.quantize)


def _named(name: str, task: Task) -> Architecture:
    """Give the model that an option names; a module of one's own is imported for it."""
    MODELS.get(name)
    return architecture_of(name, task)


def _stem(architecture: Architecture) -> str:
    """Name a model's file."""
    return architecture.name.replace(":", ".")


def export(jobs: Sequence[Job], console: "Console") -> list[dict[str, Any]]:
    """Write files; give a row of the closing table for each.

    Raises
    ------
    ChorusError
        If a file does not compute what Keras does (it is not written then), weights do not fit,
        or the disk does not take it. Files before it are kept.
    """
    rows: list[dict[str, Any]] = []
    with console.status("Loading TensorFlow") as status:
        import_tensorflow()
        for job in jobs:
            status.update(f"Building and verifying {job.out.name}")
            content, check = job.build()
            write_atomically(job.out, content)
            found = inspect_bytes(content)
            row = {
                "file": str(job.out),
                "bytes": found.bytes,
                "ops": sum(op.count for op in found.ops),
                "signatures": list(found.signatures),
                "check": check,
            }
            rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> "Table":
    """Lay out the closing table."""
    from rich.table import Column, Table

    columns = ("file", "bytes", "ops", "signatures", "check")
    result = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        signatures = ", ".join(row["signatures"])
        result.add_row(
            row["file"], f"{row['bytes']:,}", f"{row['ops']:,}", signatures, row["check"]
        )
    return result

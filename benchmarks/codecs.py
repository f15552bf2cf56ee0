"""How many bytes the updates of a federation cost in each codec, and what they are worth.

    python benchmarks/codecs.py --corpus ravdess --data PATH --write docs/results-paper.md

Each codec trains the same federations of 20 rounds (conv; RAVDESS in six folds of actors), with 3
seeds for those of ``--codecs``, and for those of ``--others`` with 1, on the first partition. The
table shows each one's UAR beside that of float32 with the same seeds, and the bytes of its updates'
files. It may be stopped and started again at any time.

*To float32* is the difference of the mean UAR, and the standard error of that difference: the
deviation of the differences between federations of the same seed and fold, divided by the square
root of their number. A difference of less than two of these may be chance.
"""

import argparse
import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from edge_client.simulation.report import spread
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.experiment_report import (
    markdown_table,
    section_of,
    write_section,
)
from edge_client.simulation.study import Planned, execute
from edge_client.simulation.summary import summarise
from shared.codecs import CODECS
from shared.command import progress_console

SECTION: Final = "codecs"

STUDY: Final[dict[str, Any]] = {
    "model": "conv",
    "rounds": 20,
    "normalisation": "device",
    "augmentation": True,
    "validation": False,
    "choose": "last",
}

TRAINING: Final[dict[str, dict[str, Any]]] = {
    "random": {"clients": 4, "batch_size": 8, "learning_rate": 1e-3},
    "speaker": {"batch_size": 4, "learning_rate": 1e-3, "epochs": 4, "fraction": 0.5},
}
"""How clients train: a speaker alone has too few utterances to get anywhere in one epoch. Half of
the speakers take part in a round, as in the preset."""

HEADER: Final = ["partition", "codec", "seeds", "UAR", "to float32", "KB an update", "fewer bytes"]


def results_of(
    partition: str, codec: str, seeds: int, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Make the runs of one codec on one partition, or take those that are there."""
    values = {**STUDY, **TRAINING[partition], "partition": partition, "codec": codec}
    values |= {"corpus": arguments.corpus, "data": arguments.data, "threads": arguments.threads}
    settings = SimulationSettings.parse(values)
    results = []
    for seed in range(seeds):
        plan = []
        for fold in range(1, settings.folds + 1):
            name = f"seed-{seed}-fold-{fold}"
            changed = settings.model_copy(update={"seed": seed, "fold": fold})
            folder = arguments.out / f"{partition}-{codec}" / name
            plan.append(Planned(folder, changed, f"{partition} {codec} {name}"))
        results += execute(plan, progress_console(), resume=True)
    return results


def size(results: list[dict[str, Any]]) -> float:
    """Give the bytes of one update's file."""
    each = []
    for result in results:
        taking_part = max(1, round(result["settings"]["fraction"] * result["clients"]))
        each.append(result["bytes_up_per_round"] / taking_part)
    return fmean(each)


def difference(results: list[dict[str, Any]], plain: list[dict[str, Any]]) -> str:
    """Compare a codec's federations with those of float32 of the same seeds and folds."""
    own, others = (summarise(some)["each"]["uar"] for some in (results, plain))
    each = [one["uar"] - other["uar"] for one, other in zip(results, plain, strict=False)]
    mean = fmean(own) - fmean(others[: len(own)])
    return f"{mean:+.3f} ± {stdev(each) / len(each) ** 0.5:.3f}"


def rows_of(partition: str, found: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    """Lay out the codecs of one partition; float32 is the first."""
    plain = found["float32"]
    rows = []
    for codec, results in found.items():
        summary = summarise(results)
        rows.append(
            [
                partition,
                codec,
                str(len(summary["each"]["uar"])),
                spread(summary["mean"]["uar"], summary["std"]["uar"]),
                "" if results is plain else difference(results, plain),
                f"{size(results) / 1000:.1f}",
                f"{size(plain) / size(results):.1f}",
            ]
        )
    return rows


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", default="ravdess")
    parser.add_argument("--data", type=Path, help="where the corpus lies")
    parser.add_argument("--partitions", default="random,speaker")
    parser.add_argument("--codecs", default="float32,sign", help="with all seeds")
    parser.add_argument("--others", default="", help="with the first seed and partition alone")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="as of edge-client simulate")
    parser.add_argument("--out", type=Path, default=Path("runs/codecs"))
    parser.add_argument("--write", type=Path, help="document to put the table in")
    arguments = parser.parse_args()
    arguments.counts = dict.fromkeys(arguments.codecs.split(","), arguments.seeds)
    arguments.others = dict.fromkeys(filter(None, arguments.others.split(",")), 1)
    named = arguments.counts.keys() | arguments.others.keys()
    if "float32" not in arguments.counts or not named <= set(CODECS):
        parser.error(f"name float32 and some of {', '.join(CODECS)}")
    return arguments


def main() -> None:
    """Make all runs; print the table, and write it where it belongs."""
    arguments = parsed()
    if arguments.write:
        section_of(arguments.write, SECTION)
    rows = [HEADER]
    for number, partition in enumerate(arguments.partitions.split(",")):
        codecs = arguments.counts if number else arguments.counts | arguments.others
        found = {
            codec: results_of(partition, codec, seeds, arguments) for codec, seeds in codecs.items()
        }
        rows += rows_of(partition, found)
        print(markdown_table(rows), flush=True)
    (arguments.out / "table.json").write_text(json.dumps(rows, indent=2) + "\n")
    if arguments.write:
        shown = list(sys.argv[1:])
        if "--data" in shown:
            shown[shown.index("--data") + 1] = "PATH"
        made = f"`python benchmarks/codecs.py {shlex.join(shown)}`, {datetime.now(UTC).date()}."
        write_section(arguments.write, SECTION, f"{markdown_table(rows)}\n{made}\n")


if __name__ == "__main__":
    main()

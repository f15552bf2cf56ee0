"""Several federations on one machine: an aggregator each, at one broker, from settings files."""

from pathlib import Path

import pytest

from shared.front_ends import WHISPER
from shared.task import DEFAULT_TASK, Task
from tests.brokers import WebMosquitto, free_port
from tests.end_to_end.federation.clips import Clips, simulated
from tests.end_to_end.federation.processes import Processes

pytestmark = pytest.mark.usefixtures("environment")

TASK = Task(DEFAULT_TASK.labels, WHISPER)
STRATEGIES = {"kitchen": "fedavg", "office": "fedadam", "workshop": "fedavgm"}


def test_three_at_once_end_each_in_the_weights_of_its_simulation(
    tmp_path: Path, web_mosquitto: WebMosquitto
) -> None:
    clips = Clips.write(tmp_path, TASK)
    federations = {}
    for name, strategy in STRATEGIES.items():
        folder = tmp_path / name
        folder.mkdir()
        settings = folder / "aggregator.toml"
        settings.write_text(
            f'federation = "{name}"\nstrategy = "{strategy}"\nweb = "127.0.0.1:{free_port()}"\n'
        )
        federations[name] = Processes(folder, clips, "head", "--config", str(settings))
    with federations["kitchen"], federations["office"], federations["workshop"]:
        for name, them in federations.items():
            # Of one federation all are at the broker's websockets.
            web = name == "office"
            them.access = lambda who, name=name, web=web: [  # type: ignore[misc] # mypy infers no defaults
                *(["--transport", "websockets"] if web else []),
                *(["--federation", name] if who != "aggregator" else []),
            ]
            port = web_mosquitto.web_port if web else web_mosquitto.port
            them.serve(port)
            them.run(0, port)
            them.run(1, port)
        for name, them in federations.items():
            them.finish(simulated(clips.whole, "head", STRATEGIES[name], task=TASK))

"""The page of a real device that hears real speech: real store, real recogniser, real browser."""

import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_client.device.device import Device
from edge_client.device.first_minute import FirstMinute
from edge_client.device.settings import DeviceSettings
from edge_client.hearing.utterance import Utterance
from edge_client.settings import RunSettings
from edge_client.web.server import serve
from shared.architectures import architecture_of
from shared.audio import read_clip
from shared.audio.clip_search import clips_below
from shared.task import DEFAULT_TASK, Task
from shared.weights import initial_weights, save_weights
from tests.browser import text
from tests.edge_client.device.heard import hear
from tests.edge_client.web.browser import row, shown
from tests.edge_client.web.tasks import EIGHT

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.parametrize(
    "task",
    [DEFAULT_TASK, EIGHT],
    ids=["four", "eight"],
)
def test_speech_is_heard_shown_answered_and_deleted(
    browser: "Browser", speech: Path, tmp_path: Path, task: Task
) -> None:
    conv = architecture_of("conv", task)
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, initial_weights(conv, np.random.default_rng(0)), conv)
    clip = clips_below(speech / "ravdess")[0]
    settings = {"state": tmp_path / "state", "weights": weights, "labels": ",".join(task.names)}
    before = threading.enumerate()
    with Device(DeviceSettings.parse(settings)) as device:
        server = serve(device, port=0)
        page = browser.new_page()
        page.goto(server.address)
        text(page, "#state", "Not listening")  # there is no microphone
        text(page, "#status", "conv ·")
        first = device.hear(Utterance(read_clip(clip), 0.0))
        assert first
        shown(page, first.identifier)
        assert first.predicted
        assert page.inner_text("#word").lower() == first.predicted
        second = device.hear(Utterance(read_clip(clip), 0.0))
        assert second
        shown(page, second.identifier)
        other = "sad" if second.predicted != "sad" else "angry"
        page.click(row(other))
        text(page, "#answer", "You said so, not")
        assert device.recent(1)[0].label == other
        assert device.counts()[other] == 1
        page.click("#discard")
        shown(page, first.identifier)
        page.click("#undo")
        text(page, "#answer", "You said so, not")
        shown(page, second.identifier)
        page.click("#pause")
        text(page, "#state", "Paused")
        assert device.hear(Utterance(read_clip(clip), 0.0)) is None
        page.click("#pause")
        text(page, "#state", "Not listening")
        page.click("#delete")
        page.click("#yes")
        page.wait_for_selector("#empty:visible")
        assert device.recent(9) == []
        assert device.sound(second.identifier) is None
        page.context.close()
        server.close()
    assert "web-feed" not in [one.name for one in threading.enumerate() if one not in before]


def test_the_first_minute_and_the_starter_s_card_are_shown(
    browser: "Browser", tmp_path: Path
) -> None:
    settings = RunSettings.parse({"mic": True, "state": tmp_path}).begun()
    with Device(settings.part(DeviceSettings)) as device, closing(FirstMinute(device)):
        server = serve(device, port=0)
        page = browser.new_page()
        page.goto(server.address)
        text(page, "#minute", "Say 4 things, whatever you like")
        text(page, "#minute", "in these moods: Angry, Happy, Neutral, Sad.")
        text(page, "#status", "EMO-DB")
        text(page, "#status", "right on people of RAVDESS")
        heard = hear(device)
        text(page, "#minute", "Heard 1 of 4")
        device.correct(heard.identifier, "sad")
        text(page, "#minute", "in these moods: Angry, Happy, Neutral.")
        for seed in range(1, 4):
            hear(device, seed)
        text(page, "#minute", "Now I go by your own voice and this room.")
        at = datetime(2026, 1, 2, 12, 34, 56, tzinfo=UTC)
        changed = {"heard_at": at.isoformat(), "before": "angry", "now": "sad"}
        told = {"heard": 4, "wanted": 4, "changed": [changed], "unknown": []}
        device.report("first_minute", told)
        text(page, "#minute", f"what you said at {at.astimezone():%-I:%M:%S}")
        text(page, "#minute", "was Sad, not Angry.")
        page.context.close()
        server.close()

"""A model that arrives as the difference to the one before, or whole if that leads nowhere."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from aggregator.strategies.download import Download
from edge_client.federation.shortcut import Shortcut
from shared.codecs import make_codec
from shared.errors import WeightsError
from shared.protocol.frames import Chunk
from shared.protocol.messages import Difference, File
from shared.randomness import stream
from shared.storage.files import sha256_of
from shared.weights import save_weights
from tests.edge_client.federation.announcements import announcement
from tests.edge_client.federation.test_fetching import Fetched
from tests.edge_client.tiny import TINY

CHUNK = 1 << 16


class Published:
    """Two models of an aggregator, and the difference between them, as files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        before = stream(1).standard_normal(TINY.parameters, np.float32)
        computed = stream(2).standard_normal(TINY.parameters, np.float32)
        download = Download(make_codec("int8"))
        after, difference = download.publish(before, computed, TINY, stream(3))
        assert difference
        self.paths = [folder / name for name in ("before", "after", "difference")]
        save_weights(self.paths[0], before, TINY)
        save_weights(self.paths[1], after, TINY)
        difference.write(self.paths[2])
        self.before, self.after, self.difference = map(_file, self.paths)
        self.content = {
            file.digest: path.read_bytes()
            for file, path in zip(
                (self.before, self.after, self.difference), self.paths, strict=True
            )
        }
        self.shortcut = Shortcut(self.after, self.before.digest, self.difference, "int8", TINY)


def _file(path: Path) -> File:
    return File(digest=sha256_of(path), size=path.stat().st_size)


class Device(Fetched):
    """A device that asks for the second model, with a network that sends what it asks for."""

    def __init__(self, folder: Path, published: Published) -> None:
        super().__init__(folder)
        self.published = published
        self.asked: list[str] = []

    def gather(self) -> bool:
        published = self.published
        return self.fetching.gather([published.after], CHUNK, published.shortcut)

    def go_on(self, damaged: str = "") -> None:
        """Send what was asked for; let the worker do what it has to."""
        for want in self.connection.take():
            self.asked.append(want.file)
            content = self.published.content[want.file]
            for begin, end in want.ranges:
                for start in range(begin, end, CHUNK):
                    piece = content[start : min(start + CHUNK, end)]
                    piece = bytes(len(piece)) if want.file == damaged else piece
                    self.fetching.take(Chunk(want.file, start, piece, 1))
        self.check()

    def fetch(self, damaged: str = "") -> None:
        """Go on until the model is there."""
        for _ in range(8):
            if self.gather():
                break
            self.go_on(damaged)
        model = self.client_state.path(self.published.after.digest)
        assert sha256_of(model) == self.published.after.digest


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path / "published")


@pytest.fixture
def device(tmp_path: Path, published: Published) -> Device:
    """Make a device that has the first model."""
    device = Device(tmp_path / "device", published)
    shutil.copyfile(published.paths[0], device.client_state.path(published.before.digest))
    return device


def test_who_has_the_model_before_fetches_the_difference_alone(
    device: Device, published: Published
) -> None:
    device.fetch()
    assert device.asked == [published.difference.digest]
    left = {path.name for path in device.client_state.folder.glob("*.safetensors*")}
    assert left == {f"{published.after.digest}.safetensors"}


def test_who_has_not_fetches_it_whole(tmp_path: Path, published: Published) -> None:
    newcomer = Device(tmp_path / "newcomer", published)
    newcomer.fetch()
    assert newcomer.asked == [published.after.digest]


def test_a_difference_that_arrives_damaged_is_not_asked_for_again(
    device: Device, published: Published
) -> None:
    device.fetch(damaged=published.difference.digest)
    assert device.asked == [published.difference.digest, published.after.digest]


@pytest.mark.parametrize("what", ["before", "difference"])
def test_what_leads_to_another_model_is_left_and_the_whole_one_fetched(
    device: Device, published: Published, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    if what == "before":
        path = device.client_state.path(published.before.digest)
        save_weights(path, np.zeros(TINY.parameters, np.float32), TINY)
    else:
        content = bytes(1000)
        path = published.paths[2]
        path.write_bytes(content)
        published.difference = _file(path)
        published.content[published.difference.digest] = content
        model, base = published.after, published.before.digest
        published.shortcut = Shortcut(model, base, published.difference, "int8", TINY)
    device.fetch()
    assert device.asked == [published.difference.digest, published.after.digest]
    assert "A model is fetched whole:" in caplog.text


@pytest.mark.parametrize("turns", range(4))
def test_killed_on_the_way_it_goes_on_and_ends_with_the_same(
    device: Device, published: Published, turns: int
) -> None:
    for _ in range(turns):
        device.gather()
        device.go_on()
    (device.client_state.folder / f".{published.after.digest}-abc.safetensors").touch()
    again = Device(device.client_state.folder, published)
    again.fetch()
    assert published.after.digest not in device.asked + again.asked
    assert (device.asked + again.asked).count(published.difference.digest) == 1
    assert not list(again.client_state.folder.glob(".*.safetensors"))


def test_while_a_model_is_made_nothing_is_removed(device: Device, published: Published) -> None:
    device.gather()
    device.go_on()
    assert not device.gather()  # the worker has it now
    assert not device.fetching.gather([published.before], CHUNK)
    assert device.client_state.path(published.difference.digest).exists()
    device.check()
    assert device.gather()


def test_a_shortcut_makes_the_announced_model_or_nothing(
    tmp_path: Path, published: Published
) -> None:
    out = tmp_path / "out.safetensors"
    published.shortcut.take(published.paths[0], published.paths[2], out)
    assert out.read_bytes() == published.paths[1].read_bytes()
    out.unlink()
    with pytest.raises(WeightsError, match="does not lead to the model that was announced"):
        published.shortcut.take(published.paths[1], published.paths[2], out)
    with pytest.raises(WeightsError):
        published.shortcut.take(tmp_path / "none", published.paths[2], out)
    assert not out.exists()


@pytest.mark.usefixtures("tiny")
def test_of_what_is_announced_only_what_is_known_is_followed(published: Published) -> None:
    known = Difference(base=published.before.digest, file=published.difference, codec="int8")
    announced = announcement(published.after, difference=known)
    assert Shortcut.announced(announced) == published.shortcut
    for codec in ("zip", "top5-int8", "os.path:join"):
        other = known.model_copy(update={"codec": codec})
        assert Shortcut.announced(announcement(published.after, difference=other)) is None
    assert Shortcut.announced(announcement(published.after)) is None

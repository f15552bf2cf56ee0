"""A short run of the fuzzer, from good inputs."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.codecs import CODECS, make_codec
from shared.protocol.frames import Chunk
from shared.protocol.messages import Accepted, Offer, Presence, Want
from shared.protocol.part_file import PartFile, record_of
from shared.update_file import encode_update
from tests.shared.codecs.models import SMALL, update

DIGEST = "ab" * 32

RUNS = 4000


def inputs(folder: Path) -> list[bytes]:
    """Make one good input or more for each reader."""
    offer = Offer(
        update=DIGEST, size=9, run=DIGEST[:32], round=1, model=DIGEST, codec="int8", examples=3
    )
    found = [b"\0" + Chunk(DIGEST, 5, b"payload").encode()]
    found += [
        b"\1" + bytes([kind]) + message.encode()
        for kind, message in (
            (1, Presence(state="online", examples=3)),
            (2, offer),
            (2, Want(file=DIGEST, ranges=[(0, 5), (7, 9)])),
            (3, Accepted(update=DIGEST)),
        )
    ]
    part = PartFile(folder / "part", 100, DIGEST)
    part.write(0, bytes(100))
    part.flush()
    part.close()
    found.append(b"\2" + record_of(folder / "part").read_bytes())
    for number, name in enumerate(CODECS):
        rng = np.random.default_rng(0)
        path = folder / "update"
        encode_update(update(SMALL), SMALL, make_codec(name), rng).write(path)
        found.append(b"\3" + bytes([number]) + path.read_bytes())
    return found


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed")
def test_nothing_is_found_in_a_short_run(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, data in enumerate(inputs(tmp_path)):
        (corpus / str(number)).write_bytes(data)
    command = [sys.executable, "-m", "tests.fuzz.fuzz_protocol", f"-runs={RUNS}", "-seed=1"]
    command += ["-max_len=8192", f"-artifact_prefix={tmp_path}/", str(corpus)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    assert f"Done {RUNS} runs" in result.stderr

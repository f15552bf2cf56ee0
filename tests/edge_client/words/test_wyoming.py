"""Words from a recogniser of one's own, by the Wyoming protocol."""

import io
import socket
import time
from contextlib import closing

import numpy as np
import pytest

from edge_client.words.wyoming import WyomingRecogniser, _Until, answer_of
from shared.errors import ChorusError
from tests.edge_client.device.heard import utterance
from tests.edge_client.words.recogniser import OwnRecogniser, transcript

SAMPLES = utterance(0, 2.5).samples


def asked(*answers: bytes) -> str:
    with closing(OwnRecogniser(answers)) as own:
        words = WyomingRecogniser("127.0.0.1", own.port).words(SAMPLES)
        heard = np.frombuffer(own.sound[0], "<i2") / 32767
        np.testing.assert_allclose(heard, SAMPLES, atol=1e-4)
        return words


def test_an_utterance_goes_out_whole_and_its_transcript_comes_back() -> None:
    assert asked(transcript(" Leave me alone. ")) == "Leave me alone."


def test_what_else_it_says_is_passed_over() -> None:
    other = b'{"type": "info", "data": {"asr": []}, "payload_length": 3}\nabc'
    inline = b'{"type": "transcript", "data": {"text": "Oh no."}}\n'
    assert asked(other + inline) == "Oh no."


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "it ended the conversation"),
        (b"x" * 100_000, "its line is too long"),
        (b"hello\n", "Expecting value"),
        (b"[]\n", "its line is no object"),
        (b'{"type": "transcript", "data_length": 99999999}\n', "its event is too long"),
        (b'{"type": "transcript", "data_length": -1}\n', "its event is too long"),
        (b'{"type": "transcript", "data_length": 1e400}\n', "cannot convert float infinity"),
        (b'{"type": ' + b"[" * 60_000 + b"\n", "maximum recursion depth"),
        (b'{"type": "transcript", "data": ["text"]}\n', ""),
        (b'{"type": "transcript", "data": {"text": null}}\n', "what was said is no text"),
        (b'{"type": "transcript", "data": {"text": ["Oh", "no."]}}\n', "what was said is no text"),
        (b'{"type": "ping"}\n' * 1001, "no transcript is among its 1000 events"),
    ],
)
def test_nonsense_is_one_sentence(answer: bytes, why: str) -> None:
    with pytest.raises(ChorusError, match=rf"The recogniser at .* gave no transcript: {why}"):
        asked(answer)


def test_one_that_sends_a_byte_now_and_then_is_not_waited_for_without_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, io.BufferedReader(_Until(ours, time.monotonic() - 1)) as late:
        theirs.sendall(b'{"type"')
        with pytest.raises(TimeoutError):
            answer_of(late)


def test_nobody_there_is_one_sentence() -> None:
    with closing(OwnRecogniser([b""])) as own:
        port = own.port
    with pytest.raises(ChorusError, match=r"gave no transcript: .*refused"):
        WyomingRecogniser("127.0.0.1", port).words(SAMPLES)

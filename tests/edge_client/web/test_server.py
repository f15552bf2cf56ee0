import io
import json
import re
import wave
from typing import Any

import numpy as np
import pytest

from edge_client.web.routes import wav
from edge_client.web.server import serve
from shared.errors import SettingsError
from shared.web.policy import HEADERS
from shared.web.server import WebServer
from tests.edge_client.web.stand_in import StandIn
from tests.shared.web.client import Client


@pytest.fixture
def client(server: WebServer) -> Client:
    return Client(server).enter()


@pytest.fixture
def stranger(server: WebServer) -> Client:
    return Client(server)


# ---- who may see it ----


CLOSED = (
    "/ /?token= /?token=wrong /?token=%FF%00 /page.js /texts.json /events /sound/1.wav /none /../x"
)


@pytest.mark.parametrize("path", CLOSED.split())
def test_nothing_is_told_without_the_token(stranger: Client, device: StandIn, path: str) -> None:
    device.hear(0.1, 0.7, 0.1, 0.1)
    answer = stranger.ask("GET", path)
    assert answer.status == 401
    assert b"Open the link of your device" in answer.body
    assert "Set-Cookie" not in answer.headers


def test_nothing_is_done_without_the_token(stranger: Client, device: StandIn) -> None:
    device.hear(0.1, 0.7, 0.1, 0.1)
    for cookie in ("", f"chorus-{stranger.port}=", f"chorus-{stranger.port}=" + "0" * 64):
        stranger.cookie = cookie
        assert stranger.do("delete").status == 401
    assert device.recent(1)


def test_the_link_opens_the_page_without_a_redirection(stranger: Client) -> None:
    answer = stranger.ask("GET", stranger.link)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert re.fullmatch(
        rf"chorus-{stranger.port}=[0-9a-f]{{64}}; Max-Age=31536000; HttpOnly; SameSite=Strict; "
        "Path=/",
        answer.headers["Set-Cookie"],
    )
    assert b"$" not in answer.body  # every text was put in


def test_a_visit_without_the_link_prolongs_the_stay(client: Client) -> None:
    answer = client.ask("GET", "/")
    assert answer.headers["Set-Cookie"].partition(";")[0] == client.cookie
    assert "Set-Cookie" not in client.ask("GET", "/page.js").headers


def test_a_token_of_ones_own(device: StandIn) -> None:
    server = serve(device, port=0, token="some & any = token; 16+")  # noqa: S106 - nobody's
    assert Client(server).enter().ask("GET", "/").status == 200
    server.close()


def test_another_start_lets_nobody_in_who_had_the_old_link(client: Client, device: StandIn) -> None:
    client.server.close()
    again = serve(device, port=client.port)
    assert client.ask("GET", client.link).status == 401
    assert client.ask("GET", "/").status == 401
    again.close()


@pytest.mark.parametrize(
    "host", ["evil.test", "localhost.evil.test:1", "", None, "127.0.0.1.nip.io"]
)
def test_another_name_for_our_address_is_refused(
    client: Client, device: StandIn, host: str | None
) -> None:
    """DNS rebinding."""
    answer = client.ask("GET", client.link, Host=host)
    assert answer.status == 421
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"Open the link that it shows" in answer.body
    assert client.ask("POST", "/do/pause", b"{}", Host=host, Origin=f"http://{host}").status == 421
    assert not device.paused


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "", None, "http://127.0.0.1:1"])
def test_what_another_site_posts_is_not_done(
    client: Client, device: StandIn, origin: str | None
) -> None:
    assert client.ask("POST", "/do/pause", b"{}", Origin=origin).status == 403
    assert not device.paused


def test_every_answer_is_strict(client: Client) -> None:
    answers = [client.ask("GET", path) for path in ("/", "/page.js", "/nothing")]
    answers += [client.do("undo"), client.ask("PUT", "/"), client.ask("GET", "/", Host="evil.test")]
    assert [answer.status for answer in answers] == [200, 200, 404, 409, 501, 421]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert "Python" not in answer.headers["Server"]


def test_a_forwarded_port_is_a_way_in(client: Client, device: StandIn) -> None:
    """`ssh -L 9000:localhost:8765`."""
    host = "localhost:9000"
    assert client.ask("GET", "/", Host=host).status == 200
    assert client.ask("POST", "/do/pause", b"{}", Host=host, Origin=f"http://{host}").status == 200
    assert device.paused


# ---- what it does ----


def test_orders_reach_the_device(client: Client, device: StandIn) -> None:
    device.hear(0.1, 0.7, 0.1, 0.1)
    device.hear(0.1, 0.7, 0.1, 0.1)
    assert client.do("correct", id=1, label="happy").status == 200
    assert client.do("correct", id=2, label="sad").status == 200
    assert [each.label for each in device.recent(2)] == ["sad", "happy"]
    assert client.do("undo").json == {"id": 2}
    assert client.do("discard", id=1).status == 200
    assert [each.label for each in device.recent(2)] == [None]
    client.do("pause")
    assert device.paused
    client.do("resume")
    assert not device.paused
    client.do("delete")
    assert device.recent(2) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("correct", {"id": 1, "label": "bored"}),
        ("correct", {"id": 1}),
        ("correct", {"id": "1", "label": "sad"}),
        ("discard", {"id": 1, "more": 1}),
        ("discard", []),
        ("discard", {"id": 1 << 63}),
        ("discard", {"id": 10**30}),
        ("correct", {"id": -(1 << 64), "label": "sad"}),
        ("delete", {"id": 1}),
    ],
)
def test_orders_that_make_no_sense_are_refused(
    client: Client, device: StandIn, name: str, content: Any
) -> None:
    device.hear(0.1, 0.7, 0.1, 0.1)
    assert client.ask("POST", f"/do/{name}", json.dumps(content).encode()).status == 400
    assert [each.label for each in device.recent(2)] == [None]


def test_what_the_device_cannot_do_is_told_in_its_words(client: Client) -> None:
    answer = client.do("discard", id=9)
    assert (answer.status, answer.json) == (
        409,
        {"problem": "There is no utterance 9. It was deleted."},
    )
    assert client.do("undo").json == {"problem": "There is nothing to undo."}


def test_a_fault_of_the_device_ends_nothing_else(
    client: Client, device: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "pause", lambda: 1 / 0)
    assert client.do("pause").status == 500
    assert client.do("resume").status == 200


def test_sound_is_a_wav_while_it_is_in_memory(client: Client, device: StandIn) -> None:
    number = device.hear(0.1, 0.7, 0.1, 0.1, seconds=0.5)
    answer = client.ask("GET", f"/sound/{number}.wav")
    assert answer.headers["Content-Type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.body)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    expected = device.sound(number)
    assert expected is not None
    np.testing.assert_allclose(samples, expected, atol=1 / 32767)
    device.forget_sounds()
    assert client.ask("GET", f"/sound/{number}.wav").status == 404


def test_sound_beyond_full_scale_is_clipped() -> None:
    file = wav(np.array([2, -2, 0], np.float32))
    assert np.frombuffer(file[44:], "<i2").tolist() == [32767, -32767, 0]


def test_changes_are_told_live(client: Client, device: StandIn) -> None:
    events = client.events()
    assert events.status == 200
    assert events.next("state")["recent"] == []
    device.hear(0.1, 0.7, 0.1, 0.1)
    assert len(events.next("state")["recent"]) == 1
    events.close()


# ---- bounds ----


@pytest.mark.parametrize(
    ("length", "status"),
    [(None, 411), ("-1", 411), ("one", 411), ("9" * 20, 411), ("1025", 413), ("999999999", 413)],
)
def test_a_body_has_a_length_and_a_bound(client: Client, length: str | None, status: int) -> None:
    assert client.ask("POST", "/do/pause", b"", Content_Length=length).status == status


def test_a_body_in_chunks_is_refused(client: Client) -> None:
    answer = client.ask("POST", "/do/pause", b"2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked")
    assert answer.status == 411


def test_closing_ends_the_pages_and_frees_the_port(client: Client, device: StandIn) -> None:
    events = client.events()
    client.server.close()
    client.server.close()
    assert events.lines.read().endswith(b"\n\n")  # up to the end
    events.close()
    serve(device, port=client.port).close()
    assert device.subscribers == []


# ---- where it cannot be served ----


def test_a_port_in_use_is_said_with_the_mend(client: Client, device: StandIn) -> None:
    with pytest.raises(SettingsError, match=f"Port {client.port} is in use") as caught:
        serve(device, port=client.port)
    assert "--web HOST:PORT" in caught.value.remedy
    assert len(device.subscribers) == 1  # the first page's


@pytest.mark.parametrize(
    ("host", "port", "problem"),
    [
        ("192.0.2.1", 8765, "This machine has no address 192.0.2.1"),
        ("no such host", 8765, "There is no address no such host"),
        ("127.0.0.1", 70_000, "70000 is not a valid port"),
    ],
)
def test_an_address_that_cannot_be_is_said(
    device: StandIn, host: str, port: int, problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        serve(device, host, port)


def test_a_port_that_is_not_allowed_is_said(
    device: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bind(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # for root, every port is allowed

    monkeypatch.setattr("socket.socket.bind", bind)
    with pytest.raises(SettingsError, match="Port 80 is not allowed"):
        serve(device, port=80)

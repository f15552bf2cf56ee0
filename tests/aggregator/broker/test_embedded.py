"""The aggregator's own broker, as a real process."""

import errno
import os
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from aggregator.broker.embedded import _SERVE, EmbeddedBroker, EmbeddedBrokerSettings
from aggregator.server.settings import ServeSettings
from shared.errors import BrokerError, SettingsError
from shared.mqtt.broker_settings import BrokerSettings
from tests.brokers import BOUND, free_port, has_ipv6, listens, peak_memory, wait_until
from tests.peers import Peers
from tests.proxy import proxy_to

OPEN = EmbeddedBrokerSettings(embedded_broker=True)


def process_of(broker: EmbeddedBroker) -> "subprocess.Popen[bytes]":
    assert broker._process
    return broker._process


def test_retained_messages_and_wills(embedded_broker: EmbeddedBroker, peers: Peers) -> None:
    settings = BrokerSettings(port=embedded_broker.port)
    sender = peers.connect(settings, "sender").ready()
    assert sender.connection.publish("kept", b"old", retain=True)
    assert sender.connection.publish("kept", b"new", retain=True)
    wait_until(lambda: not sender.connection.busy, "the broker has acknowledged both")
    watcher = peers.connect(settings, "watcher", "kept", "gone").ready()
    watcher.wait_for(1)
    with proxy_to(embedded_broker.port) as proxy:
        peers.connect(BrokerSettings(port=proxy.port), "cut", will=("gone", b"offline")).ready()
        proxy.cut()
        watcher.wait_for(2)
    assert watcher.messages == [("kept", b"new"), ("gone", b"offline")]
    late = peers.connect(settings, "late", "gone").ready()
    late.wait_for(1)
    assert set(late.messages) == {("gone", b"offline")}
    assert sender.connection.publish("kept", b"", retain=True)
    watcher.wait_for(3)
    later = peers.connect(settings, "later", "kept", "gone").ready()
    later.wait_for(1)
    assert set(later.messages) == {("gone", b"offline")}


def test_a_large_transfer_passes_in_bounded_memory(
    embedded_broker: EmbeddedBroker, peers: Peers
) -> None:
    # A dense model of 104 MB in chunks of 64 KB, 4 MB under way.
    count, window = 1664, threading.Semaphore(64)
    wrong = []
    received = [0]

    def take(_: str, payload: bytes) -> None:
        wrong.append(int.from_bytes(payload[:4]) != received[0] or len(payload) != 1 << 16)
        received[0] += 1
        window.release()

    settings = BrokerSettings(port=embedded_broker.port)
    peers.connect(settings, "receiver", "t", on_message=take).ready()
    sender = peers.connect(settings, "sender").ready()
    before = peak_memory(process_of(embedded_broker).pid)
    for number in range(count):
        assert window.acquire(timeout=BOUND)
        assert sender.connection.publish("t", number.to_bytes(4) + bytes((1 << 16) - 4), qos=0)
    wait_until(lambda: received[0] == count, "all has arrived")
    assert not any(wrong)
    assert peak_memory(process_of(embedded_broker).pid) - before < 40e6


def test_it_is_started_again_when_it_ends_by_itself(
    embedded_broker: EmbeddedBroker, peers: Peers
) -> None:
    peer = peers.connect(BrokerSettings(port=embedded_broker.port), "peer", "t").ready()
    process_of(embedded_broker).kill()
    wait_until(lambda: len(peer.changes) >= 3, "it is lost and back")
    assert [connected for connected, _ in peer.changes][:2] == [True, False]
    assert peer.ready().connection.publish("t", b"back")
    peer.wait_for(1)


def test_it_is_started_again_though_that_fails_at_first(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, peers: Peers
) -> None:
    monkeypatch.setattr("aggregator.broker.embedded._PAUSE", 0.1)
    failures = [OSError(errno.ENOMEM, "No memory"), OSError(errno.EMFILE, "No descriptors")]
    popen = subprocess.Popen

    def start(*command: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return popen(*command, **options)

    with EmbeddedBroker(OPEN, port=0) as broker:
        peer = peers.connect(BrokerSettings(port=broker.port), "peer", "t").ready()
        monkeypatch.setattr(subprocess, "Popen", start)
        process_of(broker).kill()
        wait_until(lambda: len(peer.changes) >= 3, "it is lost and back")
    assert [line.split(";")[0] for line in caplog.messages if "embedded broker" in line] == [
        "The embedded broker ended by itself (-9)",
        "The embedded broker could not be started (No memory)",
        "The embedded broker could not be started (No descriptors)",
    ]
    assert not broker._watch.is_alive()


def test_it_can_be_stopped_while_it_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aggregator.broker.embedded._PAUSE", 0.01)

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOMEM, "No memory")

    with EmbeddedBroker(OPEN, port=0) as broker:
        monkeypatch.setattr(subprocess, "Popen", fail)
        process_of(broker).kill()
        wait_until(lambda: "could not be started" in caplog.text, "it was tried")
    assert not broker._watch.is_alive()


def test_it_ends_with_the_aggregator_however_that_ends(tmp_path: Path) -> None:
    port = free_port()
    script = f"""
        import time
        from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
        broker = EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True), {port})
        broker.start()
        print(broker._process.pid, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, cwd=tmp_path
    ) as aggregator:
        assert aggregator.stdout
        assert int(aggregator.stdout.readline())
        aggregator.kill()
    # The next one gets the port, though the first one's broker may still be ending.
    with EmbeddedBroker(OPEN, port):
        assert listens(port)
    wait_until(lambda: not listens(port), "the port is free")


def test_it_ends_with_the_aggregator_while_it_still_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asyncio.py").write_text("import time; print('here', flush=True); time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starting:
        assert starting.stdin
        assert starting.stdout
        assert starting.stdout.readline() == b"here\n"
        starting.stdin.close()
        try:
            assert starting.wait(BOUND) == 0
        finally:
            starting.kill()


def test_it_runs_no_code_of_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peers: Peers
) -> None:
    for name in ("aggregator.py", "asyncio.py"):
        (tmp_path / name).write_text("raise SystemExit(f'{__file__} is not installed')")
    monkeypatch.chdir(tmp_path)
    with EmbeddedBroker(OPEN, port=0) as broker:
        peers.connect(BrokerSettings(port=broker.port), "anna").ready()


def test_its_process_loads_nothing_that_messages_and_settings_are_checked_with() -> None:
    line = "import aggregator.broker.process, sys; print({'pydantic', 'typer'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", line], text=True) == "set()\n"


def test_ctrl_c_in_the_terminal_does_not_reach_it(embedded_broker: EmbeddedBroker) -> None:
    assert os.getpgid(process_of(embedded_broker).pid) != os.getpgid(os.getpid())


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "a-name"])  # noqa: S104 - refused
def test_listening_to_the_world_needs_a_word(address: str) -> None:
    settings = EmbeddedBrokerSettings(embedded_broker=True, listen=address)
    with pytest.raises(BrokerError, match=r"would accept everybody"):
        EmbeddedBroker(settings)
    EmbeddedBroker(settings.model_copy(update={"insecure": True}))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_the_loopback_interface_needs_none(address: str) -> None:
    EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True, listen=address))


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregator.broker.embedded._PREDECESSOR", 0.0)
    settings = EmbeddedBrokerSettings(embedded_broker=True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"127.0.0.1, port {port}") as caught:
            EmbeddedBroker(settings, port).start()
    assert "--port" in caught.value.remedy


@pytest.mark.parametrize(
    "listen",
    [
        "my_host.invalid",
        "a..b",
        pytest.param(100 * "ä", id="long"),
        "0.0.0.0:8883",
        pytest.param("192.0.2.1", id="of another machine"),
        pytest.param("2001:db8::1", id="of another machine, IPv6"),
    ],
)
def test_what_is_no_address_is_said(listen: str) -> None:
    settings = EmbeddedBrokerSettings(embedded_broker=True, listen=listen, insecure=True)
    with pytest.raises(BrokerError, match=f"There is no address {listen}") as caught:
        EmbeddedBroker(settings, port=0).start()
    assert "--listen" in caught.value.remedy


@pytest.mark.parametrize(
    ("listen", "said", "remedy"),
    [
        ("::", "this machine has no IPv6", "0.0.0.0"),  # noqa: S104 - it is told
        ("::1", "There is no address ::1", "--listen"),
    ],
)
def test_a_machine_without_ipv6_is_told_what_it_can_listen_on(
    monkeypatch: pytest.MonkeyPatch, listen: str, said: str, remedy: str
) -> None:
    class OfIPv4(socket.socket):
        """What a kernel that was started with ``ipv6.disable=1`` gives."""

        def __init__(self, family: int = -1, *given: Any, **named: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, *given, **named)

    monkeypatch.setattr(socket, "socket", OfIPv4)
    settings = EmbeddedBrokerSettings(embedded_broker=True, listen=listen, insecure=True)
    with pytest.raises(BrokerError, match=said) as caught:
        EmbeddedBroker(settings, port=0).start()
    assert remedy in caught.value.remedy


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_address_may_stand_in_brackets(peers: Peers) -> None:
    settings = EmbeddedBrokerSettings(embedded_broker=True, listen="[::1]")
    with EmbeddedBroker(settings, port=0) as broker:
        peers.connect(BrokerSettings(host="::1", port=broker.port), "anna").ready()


@pytest.mark.parametrize(
    "wrong",
    [{"listen": "0.0.0.0"}, {"insecure": True}],  # noqa: S104 - refused
)
def test_settings_that_contradict_each_other(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        EmbeddedBrokerSettings.parse(wrong)


def test_passwords_of_the_version_before_are_answered_with_mosquitto(tmp_path: Path) -> None:
    config = tmp_path / "aggregator.toml"
    config.write_text('embedded_broker = true\npasswords = "passwords"\n')
    with pytest.raises(SettingsError, match="setting passwords no longer exists") as caught:
        ServeSettings.collect({}, config)
    assert "Mosquitto" in caught.value.remedy


def test_garbage_ends_nothing_but_its_own_connection(
    embedded_broker: EmbeddedBroker, peers: Peers
) -> None:
    peer = peers.connect(BrokerSettings(port=embedded_broker.port), "peer", "t").ready()
    for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x10\x00", b"\x30\xff\xff\xff\xff\xff"):
        with socket.create_connection(("127.0.0.1", embedded_broker.port)) as link:
            link.sendall(garbage)
    assert peer.connection.publish("t", b"still there")
    peer.wait_for(1)
    assert process_of(embedded_broker).poll() is None

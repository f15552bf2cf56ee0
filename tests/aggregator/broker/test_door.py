"""Who comes to the embedded broker, and gets no further, keeps nobody out."""

import resource
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest

from aggregator.broker.accounts import AccountsAt
from aggregator.broker.certificate import kept_certificate
from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from aggregator.enrolment.members import Members
from tests.aggregator.broker.wire import Raw
from tests.brokers import wait_until

pytestmark = pytest.mark.usefixtures("many_files")


def test_connections_that_never_agree_on_tls_keep_nobody_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    at = AccountsAt(tmp_path / "members.sqlite", "chorus", tmp_path / "broker.pem")
    kept_certificate(at.certificate)
    Members(at.members).close()
    ours = EmbeddedBrokerSettings(embedded_broker=True)
    with EmbeddedBroker(ours, 0, accounts=at) as broker, ExitStack() as stack:
        first = stack.enter_context(Raw(broker.port))
        assert broker._process
        resource.prlimit(broker._process.pid, resource.RLIMIT_NOFILE, (300, 300))
        for _ in range(600):
            stack.enter_context(Raw(broker.port))
        honest = stack.enter_context(Raw(broker.port))
        tls = ssl.create_default_context(cafile=str(at.certificate))
        tls.check_hostname = False
        stack.enter_context(tls.wrap_socket(honest.socket))
        assert first.is_cut_off()
        assert capfd.readouterr().err == ""


def test_no_files_left_is_said_and_not_again_and_again(capfd: pytest.CaptureFixture[str]) -> None:
    told = ""

    def says_so() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return "Too many open files" in told

    with EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True), 0) as broker:
        with Raw(broker.port, "first") as first:
            first.say()
        process = broker._process
        assert process
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 64))
        with ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(Raw(broker.port))
            wait_until(says_so, "it says that it has no files left")
        with Raw(broker.port, "late") as late:
            late.say()
        assert len(told + capfd.readouterr().err) < 5000

"""Mosquitto as ``deploy/mosquitto`` makes it: TLS, a password for each user, rules, bounds."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.topics import Topics, aggregator_name
from tests.brokers import BOUND, Mosquitto

DEPLOY: Final = Path(__file__).parents[1] / "deploy" / "mosquitto"


def make_credentials(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the script in a folder."""
    return subprocess.run(
        [DEPLOY / "make-credentials.sh", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
        # Where Debian keeps mosquitto_passwd.
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )


def user_of(name: str, federation: str = "chorus") -> str:
    """Give the user name of a device, or of the ``aggregator``."""
    who = aggregator_name(federation) if name == "aggregator" else name
    return Topics(federation).identifier(who)


class Deployed(Mosquitto):
    """Mosquitto with the configuration as it is shipped, but for paths and port.

    Parameters
    ----------
    folder
        Where its configuration, its log and its store of retained messages are.
    credentials
        What ``make-credentials.sh`` made.
    federation
        Whose users :meth:`settings_of` gives.
    """

    def __init__(self, folder: Path, credentials: Path, federation: str = "chorus") -> None:
        super().__init__(folder)
        text = (DEPLOY / "mosquitto.conf").read_text()
        assert "listener 8883\n" in text
        text = text.replace("listener 8883\n", f"listener {self.port} 127.0.0.1\n")
        text = text.replace("/etc/mosquitto/chorus", str(credentials / "broker"))
        if os.geteuid() == 0:
            text += "user root\n"
        self._file.write_text(text)
        self.credentials = credentials
        self.federation = federation

    def set(self, name: str, value: str) -> None:
        """Give one of its settings another value, before it starts."""
        text, count = re.subn(rf"(?m)^{name} .*$", f"{name} {value}", self._file.read_text())
        assert count == 1
        self._file.write_text(text)

    def settings_of(self, name: str, federation: str = "") -> BrokerSettings:
        """How a device, or the aggregator, reaches it; of another federation, if one is named."""
        clients = self.credentials / "clients"
        user = user_of(name, federation or self.federation)
        return BrokerSettings(
            port=self.port,
            username=user,
            tls=True,
            ca_file=clients / "ca.crt",
            password_file=clients / f"{user}.password",
        )

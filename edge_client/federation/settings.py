"""How a device takes part in a federation."""

import hashlib
import os
import re
import socket
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from edge_client.federation.terms import TermsSettings
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.fields import Name
from shared.protocol.topics import aggregator_name
from shared.round_settings import MOST_ROUNDS
from shared.settings import Settings
from shared.task_settings import TaskSettings

_HOURS = r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d"


def _checked_hours(text: str) -> str:
    if not re.fullmatch(_HOURS, text, re.ASCII):
        raise ValueError("it should be two times of the day, such as 22:00-06:30")
    return text


class PermissionSettings(Settings):
    """When a device may train; it takes part in no round at other times."""

    panel: ClassVar[str] = "When to train"

    train_between: Annotated[str, AfterValidator(_checked_hours)] | None = None
    """Hours of the day in which to train, such as 22:00-06:30; at any time if not given."""
    on_mains: bool = False
    """Train only while no battery is being used, where the machine tells."""
    most_load: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Train only while the load of the last minute, a core, is below this (1: all cores busy)."""


class NameSettings(Settings):
    """What a device is called, and in which federation."""

    panel: ClassVar[str] = "Federation"

    federation: Name = "chorus"
    """Name of the federation."""
    client: Name | None = None
    """This device's name in it, also its MQTT user; made from the host's name if not given."""

    @property
    def name(self) -> str:
        """Name of this device."""
        return self.client or name_of_host(socket.gethostname())


class FederationSettings(PermissionSettings, NameSettings, TaskSettings):
    """The federation to take part in, and how."""

    panel: ClassVar[str] = "Federation"

    broker: BrokerSettings = BrokerSettings()
    """Where the federation's broker is."""
    terms: TermsSettings = TermsSettings()
    """What the federation has to keep to."""
    holdout: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """Share of the examples that is not trained on, but scores each round's model; the counts of
    what it recognised are sent with the update. 0 trains on all."""
    threads: Annotated[int, Field(ge=1, le=64)] | None = None
    """Threads to train with; the processor's cores if not given."""
    leave_after: Annotated[int, Field(ge=1, le=MOST_ROUNDS)] | None = None
    """Leave when so many of this device's updates have been accepted; stay for ever if not given.
    """

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        username = self.broker.username
        if username and self.client and username != self.client:
            raise ValueError("username and client must be the same: brokers' rules go by it")
        if self.name == aggregator_name(self.federation):
            raise ValueError(
                f"a device cannot be called {self.name}, as its aggregator is: give another client"
            )
        return self


def name_of_host(host: str) -> str:
    """Make a client's name of a host's: small letters, digits and hyphens."""
    name = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")[:48].strip("-")
    return name or f"device-{os.getuid()}"


def name_of_clips(client: str, clips: str) -> str:
    """Make a client's name for clips of this name: other clips have another name.

    Where it cannot hold all of theirs, it ends in six digits of its digest.
    """
    whole = f"{client}-{clips}"
    name = name_of_host(whole)
    return name if name == whole else f"{name}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:6]}"

"""Shows runs and federations in the programs that a group keeps results in."""

from shared.tracking.delivery import Delivery
from shared.tracking.events_file import EventsFile
from shared.tracking.tracked_run import Point, TrackedRun

__all__ = ["Delivery", "EventsFile", "Point", "TrackedRun"]

"""Conductor's bus on NATS JetStream: each object's last state as a message, and work queues that share the work.

Start at `Bus.connect`. `docs` of the pieces: subjects in `conductor_bus.subjects`, the envelope in
`conductor_bus.envelope`, errors in `conductor_bus.errors`.
"""

from conductor_bus.bus import Bus
from conductor_bus.config import BusConfig, WorkPolicy
from conductor_bus.credentials import Credentials
from conductor_bus.deadletters import DeadLetter
from conductor_bus.envelope import ObjectMessage
from conductor_bus.errors import (
    BusError,
    MalformedMessage,
    Refused,
    Retry,
    ServerTooOld,
    StreamLost,
    Superseded,
    Throttled,
    TooLarge,
    Transient,
    Unavailable,
)
from conductor_bus.flows import Turns
from conductor_bus.metrics import WorkMetrics
from conductor_bus.publisher import ObjectPublisher, Published
from conductor_bus.reading import CaughtUp, Restarted
from conductor_bus.tracing import processing
from conductor_bus.work import Cause, Done, RequeueAfter, Result, Wake, Work
from conductor_bus.workqueue import Lag, Statistics, WorkQueue

__all__ = [
    "Bus",
    "BusConfig",
    "BusError",
    "CaughtUp",
    "Cause",
    "Credentials",
    "DeadLetter",
    "Done",
    "Lag",
    "MalformedMessage",
    "ObjectMessage",
    "ObjectPublisher",
    "Published",
    "Refused",
    "RequeueAfter",
    "Restarted",
    "Result",
    "Retry",
    "ServerTooOld",
    "Statistics",
    "StreamLost",
    "Superseded",
    "Throttled",
    "TooLarge",
    "Transient",
    "Turns",
    "Unavailable",
    "Wake",
    "Work",
    "WorkMetrics",
    "WorkPolicy",
    "WorkQueue",
    "processing",
]

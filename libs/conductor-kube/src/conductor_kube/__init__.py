"""Conductor's way to the Kubernetes API: client, reflector, status writer, events and leader election.

The only package that imports ``kubernetes``.
"""

from conductor_kube.client import KubeClient
from conductor_kube.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NoCluster,
    NotFound,
    NotServed,
    RetryableError,
    TerminalError,
    Throttled,
    Unauthorized,
    Unavailable,
)
from conductor_kube.events import EventRecorder
from conductor_kube.leader import LeaderElector, Leadership, LeaseTiming
from conductor_kube.objects import Page, RawObject
from conductor_kube.reflector import Changed, Deleted, Event, Reflector, ReflectorOptions, Refused, Synced
from conductor_kube.scope import Namespaces, watched_namespaces
from conductor_kube.writer import StatusWriter, says

__all__ = [
    "AlreadyExists",
    "Changed",
    "Conflict",
    "Deleted",
    "Event",
    "EventRecorder",
    "Forbidden",
    "Gone",
    "Invalid",
    "KubeClient",
    "KubeError",
    "LeaderElector",
    "Leadership",
    "LeaseTiming",
    "Namespaces",
    "NoCluster",
    "NotFound",
    "NotServed",
    "Page",
    "RawObject",
    "Reflector",
    "ReflectorOptions",
    "Refused",
    "RetryableError",
    "StatusWriter",
    "Synced",
    "TerminalError",
    "Throttled",
    "Unauthorized",
    "Unavailable",
    "says",
    "watched_namespaces",
]

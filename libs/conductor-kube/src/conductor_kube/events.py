"""Tells people what happened to an object: Events of events.k8s.io/v1, as ``kubectl describe`` shows them.

Fire and forget: ``emit`` never waits and never raises, the same Event is told once in a while only, and when the API
server cannot keep up, Events are dropped (and counted) and not the work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from conductor_kube.backoff import Backoff
from conductor_kube.builtin import EVENTS
from conductor_kube.client import KubeClient
from conductor_kube.errors import KubeError, Throttled
from conductor_model.meta import KubeObject

log = logging.getLogger(__name__)

EventType = Literal["Normal", "Warning"]

_QUEUE_LIMIT = 1000
_REMEMBERED = 4096
_QUIET_SECONDS = 600.0
_ATTEMPTS = 5
_NOTE_BYTES = 1024
_WORD_CHARS = 128
_NAME_CHARS = 220
_CLUSTER_SCOPE_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """What makes two Events the same."""

    uid: str
    type: EventType
    reason: str
    note: str
    action: str


class EventRecorder:
    """Records Events as ``controller`` (such as ``conductor-scheduler``). Needs no start; close it to flush."""

    def __init__(
        self, client: KubeClient, *, controller: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._controller = controller
        self._instance = f"{socket.gethostname()}-{os.getpid()}"[:_WORD_CHARS]
        self._clock = clock
        self._told: OrderedDict[_Occurrence, float] = OrderedDict()
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_QUEUE_LIMIT)
        self._sender: asyncio.Task[None] | None = None
        self.dropped = 0

    def emit(self, *, regarding: KubeObject, type: EventType, reason: str, note: str, action: str) -> None:
        """Tell of a transition. ``reason`` and ``action`` are CamelCase words, ``note`` is for people."""
        occurrence = _Occurrence(regarding.uid, type, reason, note, action)
        if self._told_lately(occurrence):
            return
        try:
            self._queue.put_nowait(self._body(regarding, occurrence))
        except asyncio.QueueFull:
            self.dropped += 1
            return
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send_all(), name="event-recorder")

    async def close(self, *, seconds: float = 2.0) -> None:
        """Send what is queued, for at most ``seconds``."""
        if self._sender is None:
            return
        await asyncio.wait({self._sender}, timeout=seconds)
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)

    def _told_lately(self, occurrence: _Occurrence) -> bool:
        now = self._clock()
        told = self._told.get(occurrence)
        if told is not None and now - told < _QUIET_SECONDS:
            return True
        self._told[occurrence] = now
        self._told.move_to_end(occurrence)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return False

    def _body(self, regarding: KubeObject, occurrence: _Occurrence) -> dict[str, Any]:
        metadata = regarding.metadata
        name = metadata.name[:_NAME_CHARS].rstrip(".-")
        return {
            "apiVersion": EVENTS.gvk.api_version,
            "kind": EVENTS.gvk.kind,
            "metadata": {
                "name": f"{name}.{uuid.uuid4().hex[:16]}",
                "namespace": metadata.namespace or _CLUSTER_SCOPE_NAMESPACE,
            },
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": occurrence.type,
            "reason": occurrence.reason[:_WORD_CHARS],
            "action": occurrence.action[:_WORD_CHARS],
            "note": _shortened(occurrence.note),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
        }

    async def _send_all(self) -> None:
        while not self._queue.empty():
            await self._send(self._queue.get_nowait())

    async def _send(self, body: dict[str, Any]) -> None:
        backoff = Backoff()
        for _ in range(_ATTEMPTS):
            try:
                await self._client.create(
                    EVENTS, body["metadata"]["namespace"], body, field_manager=self._controller
                )
                return
            except KubeError as error:
                if not error.retryable:
                    log.warning("an Event was not taken: %s", error)
                    break
                delay = error.retry_after if isinstance(error, Throttled) else backoff.next()
            await asyncio.sleep(delay)
        self.dropped += 1


def _shortened(note: str) -> str:
    """At most as many bytes as the API takes, cut at a character."""
    encoded = note.encode()
    if len(encoded) <= _NOTE_BYTES:
        return note
    return encoded[: _NOTE_BYTES - len("…".encode())].decode(errors="ignore") + "…"

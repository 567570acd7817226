"""One of several replicas leads: leader election on a ``coordination.k8s.io`` Lease, by client-go's rules.

Promises:

- Two replicas never both believe to lead: a holder stops believing ``renew_deadline`` after it *began* its last successful
  renewal; another takes over no earlier than ``lease`` after it *saw* that renewal. Clocks are compared with themselves
  only, never across machines, and they run on while a machine sleeps.
- What leads is cancelled when the lease may be lost, and asks ``Leadership.still_leading`` before each write: a process
  that was paused for an hour finds out before it writes.
- A replica that stops gives the lease back when its work has ended, so that the next one need not wait for the expiry.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from conductor_kube.builtin import LEASES
from conductor_kube.client import KubeClient
from conductor_kube.errors import AlreadyExists, Conflict, KubeError, NotFound

log = logging.getLogger(__name__)


def boot_clock() -> float:
    """Seconds that pass also while the machine sleeps, where the system has such a clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """All in seconds. A takeover after a crash takes ``lease`` and up to three ``retry`` more.

    A renewal may take ``renew_deadline - renew_every``, which is what a busy API server is forgiven.
    """

    lease: int = 3
    renew_deadline: float = 2.4
    renew_every: float = 0.8
    retry: float = 0.4

    @property
    def patience(self) -> float:
        """How long one request may take: all the time that is left when a renewal begins."""
        return self.renew_deadline - self.renew_every

    def __post_init__(self) -> None:
        if not 0 < self.retry <= self.renew_every < self.renew_deadline < self.lease:
            raise ValueError("lease timing must be retry <= renew_every < renew_deadline < lease")


@dataclass(frozen=True, slots=True)
class _Record:
    """The Lease as last seen, and when it was last seen to change."""

    resource_version: str
    holder: str
    lease_seconds: float
    transitions: int
    seen_at: float

    def expired(self, now: float) -> bool:
        return not self.holder or now - self.seen_at >= self.lease_seconds


class Leadership:
    """One term of leading."""

    def __init__(self, renewed_at: float, deadline: float, clock: Callable[[], float]) -> None:
        self._renewed_at = renewed_at
        self._deadline = deadline
        self._clock = clock

    def still_leading(self) -> bool:
        """Whether no other replica can have taken over yet. To be asked before each write."""
        return self._clock() < self._renewed_at + self._deadline

    def renewed(self, began_at: float) -> None:
        self._renewed_at = began_at

    @property
    def remaining(self) -> float:
        """Seconds until this term ends unless it is renewed."""
        return self._renewed_at + self._deadline - self._clock()


class LeaderElector:
    """A candidate for the Lease ``name`` in ``namespace``."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str | None = None,
        timing: LeaseTiming | None = None,
        clock: Callable[[], float] = boot_clock,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity or f"{socket.gethostname()}_{uuid.uuid4().hex[:12]}"
        self._timing = timing or LeaseTiming()
        self._clock = clock
        self._spread = spread
        self._record: _Record | None = None

    @property
    def identity(self) -> str:
        """Who this candidate is in the Lease's ``holderIdentity``."""
        return self._identity

    async def run(self, lead: Callable[[Leadership], Awaitable[None]]) -> None:
        """Stand by, lead, and stand by again after a loss, until ``lead`` returns or raises or this is cancelled.

        ``lead`` is cancelled when the lease is lost, and when this is cancelled; the lease is given back after it ended.
        """
        while True:
            leadership = await self._acquire()
            if await self._lead(lead, leadership):
                return

    async def _acquire(self) -> Leadership:
        while True:
            began_at = self._clock()
            if await self._try_to_hold():
                log.info("%s/%s: leading as %s", self._namespace, self._name, self._identity)
                return Leadership(began_at, self._timing.renew_deadline, self._clock)
            await asyncio.sleep(self._timing.retry * (1 + self._spread() / 4))

    async def _lead(self, lead: Callable[[Leadership], Awaitable[None]], leadership: Leadership) -> bool:
        """One term. True when ``lead`` ended by itself, False when the lease was lost."""
        work = asyncio.ensure_future(lead(leadership))
        renewal = asyncio.create_task(self._keep(leadership), name=f"renew-{self._name}")
        try:
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            ended = work.done()
            if not ended:
                log.warning("%s/%s: lost the lease, stepping down", self._namespace, self._name)
        finally:
            # Renewal goes on while the work winds down: nobody else may begin before it has ended.
            if not work.done():
                work.cancel()
            await _ended(work)
            renewal.cancel()
            await _ended(renewal)
            await self._release()
        if not work.cancelled():
            work.result()
        return ended

    async def _keep(self, leadership: Leadership) -> None:
        """Renew until that no longer succeeds in time."""
        pause = self._timing.renew_every
        while True:
            await asyncio.sleep(min(pause, leadership.remaining))
            began_at = self._clock()
            if not leadership.still_leading():
                return
            if await self._try_to_hold():
                leadership.renewed(began_at)
                pause = self._timing.renew_every
            elif self._record is not None and self._record.holder not in ("", self._identity):
                return
            else:
                pause = self._timing.retry

    async def _try_to_hold(self) -> bool:
        """Acquire or renew. False when another holds the lease, or when the API server did not say yes in time."""
        try:
            async with asyncio.timeout(self._timing.patience):
                if self._record is None or self._record.holder != self._identity:
                    await self._look()
                return await self._write_hold()
        except (AlreadyExists, Conflict, NotFound):
            await self._look_again()
        except (KubeError, TimeoutError) as error:
            log.info("%s/%s: %s", self._namespace, self._name, error or "the API server does not answer")
        return False

    async def _write_hold(self) -> bool:
        record = self._record
        if record is None:
            answer = await self._client.create(
                LEASES, self._namespace, self._lease(acquired=True), field_manager=self._identity
            )
            self._seen(answer)
            return True
        ours = record.holder == self._identity
        if not ours and not record.expired(self._clock()):
            return False
        transitions = None if ours else record.transitions + 1
        patch = self._lease(acquired=not ours, version=record.resource_version, transitions=transitions)
        answer = await self._client.merge_patch(
            LEASES, self._namespace, self._name, patch, field_manager=self._identity
        )
        self._seen(answer)
        return True

    async def _release(self) -> None:
        """Give the lease back, if it is ours; best effort: it expires anyway."""
        record = self._record
        if record is None or record.holder != self._identity:
            return
        patch = self._lease(acquired=False, version=record.resource_version, holder="", seconds=1)
        try:
            async with asyncio.timeout(self._timing.patience):
                answer = await self._client.merge_patch(
                    LEASES, self._namespace, self._name, patch, field_manager=self._identity
                )
                self._seen(answer)
        except (KubeError, TimeoutError) as error:
            self._record = None
            log.info("%s/%s: not released, it will expire: %s", self._namespace, self._name, error)

    async def _look_again(self) -> None:
        try:
            async with asyncio.timeout(self._timing.patience):
                await self._look()
        except (KubeError, TimeoutError) as error:
            log.info("%s/%s: %s", self._namespace, self._name, error or "the API server does not answer")

    async def _look(self) -> None:
        try:
            self._seen(await self._client.get(LEASES, self._namespace, self._name))
        except NotFound:
            self._record = None

    def _seen(self, data: bytes) -> None:
        answer = json.loads(data)
        spec: dict[str, Any] = answer.get("spec") or {}
        seen = _Record(
            resource_version=answer["metadata"]["resourceVersion"],
            holder=spec.get("holderIdentity") or "",
            lease_seconds=float(spec.get("leaseDurationSeconds") or self._timing.lease),
            transitions=int(spec.get("leaseTransitions") or 0),
            seen_at=self._clock(),
        )
        if self._record is not None and self._record.resource_version == seen.resource_version:
            seen = replace(seen, seen_at=self._record.seen_at)
        self._record = seen

    def _lease(
        self,
        *,
        acquired: bool,
        version: str | None = None,
        transitions: int | None = None,
        holder: str | None = None,
        seconds: int | None = None,
    ) -> dict[str, Any]:
        """The Lease as a body to create it or to patch it; the times in it are for people only."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {
            "holderIdentity": self._identity if holder is None else holder,
            "leaseDurationSeconds": seconds or self._timing.lease,
            "renewTime": now,
        }
        if acquired:
            spec["acquireTime"] = now
        if transitions is not None:
            spec["leaseTransitions"] = transitions
        metadata = {"name": self._name}
        if version is not None:
            metadata["resourceVersion"] = version
        return {
            "apiVersion": LEASES.gvk.api_version,
            "kind": LEASES.gvk.kind,
            "metadata": metadata,
            "spec": spec,
        }


async def _ended(task: asyncio.Future[None]) -> None:
    """Wait for a task to end, whatever its outcome."""
    await asyncio.wait({task})

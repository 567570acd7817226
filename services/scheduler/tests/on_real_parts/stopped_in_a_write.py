"""The scheduler as a process that stops (SIGSTOP) after it looked at its lease and before its first write of a kind is sent.

    python stopped_in_a_write.py NAMESPACE create|merge_patch

When it goes on, the write is sent, as one that was on its way, whatever it finds out about its lease. It sees one namespace
only, because the tests share an API server.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from typing import Any

from conductor_kube import KubeClient, Page
from conductor_model.kinds import CONCRETE_MODELS
from conductor_model.refs import ResourceType
from conductor_scheduler import __main__ as service
from conductor_scheduler.reload import PolicyFile

NAMESPACE, VERB = sys.argv[1:]


class Stopping(KubeClient):
    stopped = False

    async def list(
        self,
        type: ResourceType,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        limit: int | None = 500,
    ) -> AsyncGenerator[Page, None]:
        async for page in super().list(type, NAMESPACE, label_selector=label_selector, limit=limit):
            yield page

    async def create(self, type: ResourceType, *args: Any, **how: Any) -> bytes:
        self._stop_once("create", type)
        return await asyncio.shield(super().create(type, *args, **how))

    async def merge_patch(self, type: ResourceType, *args: Any, **how: Any) -> bytes:
        self._stop_once("merge_patch", type)
        return await asyncio.shield(super().merge_patch(type, *args, **how))

    def _stop_once(self, verb: str, type: ResourceType) -> None:
        if verb == VERB and type.group_kind in CONCRETE_MODELS and not self.stopped:
            self.stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)


service.KubeClient = Stopping  # type: ignore[misc]
asyncio.run(service.run(PolicyFile(None)))

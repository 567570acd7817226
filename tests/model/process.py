"""A process: its requests wait until the world lets them through, and nothing of it is left when it dies.

What becomes of a request is the world's to say: it is made and answered; made, and the answer lost; lost; or made late, when
whoever sent it has given it up. A process can die between any two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from conductor_kube import KubeClient, Unavailable
from conductor_model.refs import ResourceType
from tests.model.api_server import ApiServer


class Fate(Enum):
    ANSWERED = auto()
    ANSWER_LOST = auto()
    LOST = auto()
    LATE = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """``external``: to the cloud. ``lost`` is what its sender is told where it gets no answer."""

    make: Callable[[], Any]
    answer: asyncio.Future[Any]
    external: bool
    lost: Exception


class Process:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.requests: list[Request] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], then: Callable[[asyncio.Task[Any]], None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                then(task)

        task.add_done_callback(ended)

    def ask(
        self, make: Callable[[], Any], *, external: bool = False, lost: Exception | None = None
    ) -> Awaitable[Any]:
        answer = self._loop.create_future()
        lost = lost or Unavailable("no answer", what="request")
        self.requests.append(Request(make, answer, external, lost))
        return answer

    def let_through(self, request: Request, fate: Fate, later: Callable[[Request], None]) -> None:
        self.requests.remove(request)
        outcome: Any = request.lost
        if fate is Fate.LATE:
            later(request)
        elif fate is not Fate.LOST:
            try:
                made = request.make()
                outcome = made if fate is Fate.ANSWERED else outcome
            except Exception as error:
                outcome = error if fate is Fate.ANSWERED else outcome
        if request.answer.cancelled():
            return
        if isinstance(outcome, Exception):
            request.answer.set_exception(outcome)
        else:
            request.answer.set_result(outcome)

    def die(self) -> None:
        """What it has asked for and has no answer to yet is the world's: it may be made, now or later, or never."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    @property
    def idle(self) -> bool:
        return not self._tasks


class Client(KubeClient):
    """A process's hand on the API server."""

    def __init__(self, api: ApiServer, process: Process) -> None:
        self._model, self._process = api, process

    async def get(self, type: ResourceType, namespace: str | None, name: str) -> bytes:
        return await self._bytes(lambda: self._model.get(type, namespace or "", name))

    async def create(
        self,
        type: ResourceType,
        namespace: str | None,
        body: bytes | Mapping[str, Any],
        *,
        field_manager: str,
    ) -> bytes:
        assert not isinstance(body, bytes)
        return await self._bytes(lambda: self._model.create(type, namespace or "", body))

    async def merge_patch(
        self,
        type: ResourceType,
        namespace: str | None,
        name: str,
        patch: Mapping[str, Any],
        *,
        field_manager: str,
        subresource: str | None = None,
    ) -> bytes:
        return await self._bytes(
            lambda: self._model.merge_patch(type, namespace or "", name, patch, subresource)
        )

    async def apply(
        self,
        type: ResourceType,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        subresource: str | None = None,
        force: bool = True,
    ) -> bytes:
        assert subresource == "status", "nothing else is applied"
        return await self._bytes(
            lambda: self._model.apply_status(type, namespace or "", name, body, field_manager)
        )

    async def delete(
        self,
        type: ResourceType,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        await self._process.ask(
            lambda: self._model.delete(type, namespace or "", name, uid, resource_version)
        )

    async def _bytes(self, make: Callable[[], bytes]) -> bytes:
        answer: bytes = await self._process.ask(make)
        return answer

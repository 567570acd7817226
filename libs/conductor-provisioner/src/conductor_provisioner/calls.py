"""``driver.Calls``: how calls of one account leave, limited, timed, traced and counted.

Blocking calls run in a fixed number of threads, shared by all accounts. Spans and metrics name the call, its target and
how it ended; never what was sent or answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TypeVar

from opentelemetry import trace

from conductor_provisioner.errors import NotLetIn, ProviderError, Throttled
from conductor_provisioner.gate import Gate, Limits, NoTurn, Turn
from conductor_provisioner.metrics import Metrics

THREADS = 32
"""Of a process, for all its accounts: what blocks for longest is a call under way."""

T = TypeVar("T")

_begin_by: ContextVar[float | None] = ContextVar("conductor_calls_begin_by", default=None)


@contextmanager
def beginning_within(seconds: float) -> Iterator[None]:
    """No call of an account begins later than that, in this task: NoTurn is raised instead."""
    token = _begin_by.set(asyncio.get_running_loop().time() + seconds)
    try:
        yield
    finally:
        _begin_by.reset(token)


def thread_pool() -> ThreadPoolExecutor:
    """For the blocking calls of one process."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="calls")


class AccountCalls:
    """The calls of one account."""

    def __init__(
        self,
        account: str,
        provider: str,
        gate: Gate,
        limits: Limits,
        *,
        threads: ThreadPoolExecutor,
        metrics: Metrics,
        tracer: trace.Tracer,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        self._account = account
        self._provider = provider
        self._gate = gate
        self._free = asyncio.Semaphore(limits.concurrency)
        self._longest_wait = limits.longest_wait
        self._threads = threads
        self._metrics = metrics
        self._tracer = tracer
        self._attributes = {"conductor.account": account, **(attributes or {})}

    def check(self) -> None:
        """Raises Throttled or Transient while no call would be made."""
        try:
            self._gate.check("call", self._account)
        except ProviderError as error:
            self._count_held_back(error)
            raise

    def renewed(self) -> None:
        """Other credentials are used from now on."""
        self._gate.renewed()

    async def awaiting(self, action: str, target: str, call: Callable[[], Awaitable[T]]) -> T:
        async with self._turn(action, target) as turn:
            ended: ProviderError | None = None
            outcome = "Cancelled"
            started = perf_counter()
            with self._tracer.start_as_current_span(
                f"{self._provider} {action}",
                kind=trace.SpanKind.CLIENT,
                attributes={**self._attributes, "conductor.external.name": target},
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                try:
                    answer = await call()
                    outcome = "OK"
                    return answer
                except ProviderError as error:
                    ended, outcome = error, error.code
                    raise
                except Exception as error:
                    outcome = type(error).__qualname__
                    raise
                finally:
                    if outcome != "OK":
                        span.set_attribute("error.type", outcome)
                    if outcome == "Cancelled":
                        self._gate.abandoned(turn)
                    else:
                        self._gate.ended(ended)
                    self._metrics.external_call(self._account, action, outcome, perf_counter() - started)

    @asynccontextmanager
    async def _turn(self, action: str, target: str) -> AsyncIterator[Turn]:
        """One of the account's places, when the call may leave."""
        try:
            try:
                async with asyncio.timeout(self._longest_wait):
                    await self._free.acquire()
            except TimeoutError:
                raise NoTurn(action, target) from None
            try:
                turn = await self._awaited_turn(action, target)
            except BaseException:
                self._free.release()
                raise
        except ProviderError as error:
            self._count_held_back(error)
            raise
        try:
            yield turn
        finally:
            self._free.release()

    async def _awaited_turn(self, action: str, target: str) -> Turn:
        turn = self._gate.take(action, target)
        try:
            if turn.wait > 0:
                await asyncio.sleep(turn.wait)
                self._gate.check_again(turn, action, target)
            begin_by = _begin_by.get()
            if begin_by is not None and asyncio.get_running_loop().time() > begin_by:
                raise NoTurn(action, target)
        except BaseException:
            self._gate.abandoned(turn)
            raise
        return turn

    async def blocking(self, action: str, target: str, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await self.awaiting(action, target, lambda: loop.run_in_executor(self._threads, call))

    def _count_held_back(self, error: ProviderError) -> None:
        why = "outage"
        for kind, called in ((Throttled, "throttled"), (NoTurn, "busy"), (NotLetIn, "locked out")):
            if isinstance(error, kind):
                why = called
        self._metrics.held_back(self._account, why)

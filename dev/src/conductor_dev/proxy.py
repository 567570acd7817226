"""A TCP proxy between two parts that can be made to misbehave as networks do.

    with TcpProxy("127.0.0.1", 4222) as proxy:
        client.connect(proxy.url("nats"))
        proxy.stall()     # connections stay open, nothing passes
        proxy.heal()

It carries bytes and knows no protocol, so TLS passes through it; a certificate for the target's address is good for the
proxy's, since both are the loopback's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar

Result = TypeVar("Result")

_CHUNK = 65536
_START_WITHIN = 30


class TcpProxy:
    """Listens on a port of its own. A context manager that closes everything."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{port}", daemon=True)
        self._connections: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._delay = 0.0
        self._refusing = False
        self._losing = False
        self._thread.start()
        self._flowing = asyncio.Event()
        self._server = self._run(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def url(self, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.port}"

    def stall(self) -> None:
        """Connections stay open and new ones are taken; no byte passes until `heal`. Nothing is lost."""
        self._run(self._set(flowing=False))

    def delay(self, seconds: float) -> None:
        """Every piece of data takes so much longer."""
        self._run(self._set(delay=seconds))

    def reset(self) -> None:
        """All connections end with a RST; new ones are welcome."""
        self._run(self._abort())

    def refuse(self) -> None:
        """All connections end, and new ones end at once, until `heal`."""
        self._run(self._set(refusing=True))
        self._run(self._abort())

    def lose_answers(self) -> None:
        """What clients send arrives; what comes back is thrown away, and the connection ends, until `heal`."""
        self._run(self._set(losing=True))

    def heal(self) -> None:
        """Everything passes again. What was stalled arrives late."""
        self._run(self._set(flowing=True, delay=0.0, refusing=False, losing=False))

    def close(self) -> None:
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        done: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(_START_WITHIN)

    async def _listen(self) -> asyncio.Server:
        self._flowing.set()
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _set(
        self,
        *,
        flowing: bool | None = None,
        delay: float | None = None,
        refusing: bool | None = None,
        losing: bool | None = None,
    ) -> None:
        if flowing is not None:
            (self._flowing.set if flowing else self._flowing.clear)()
        self._delay = self._delay if delay is None else delay
        self._refusing = self._refusing if refusing is None else refusing
        self._losing = self._losing if losing is None else losing

    async def _abort(self) -> None:
        for connection in tuple(self._connections):
            connection.transport.abort()

    async def _shut(self) -> None:
        self._server.close()
        await self._abort()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        self._connections.add(writer)
        # That nobody listens there, or that one side goes away, is what the other side is to see.
        with contextlib.suppress(OSError, ExceptionGroup):
            try:
                there, back = await asyncio.open_connection(*self._target)
                ends.append(back)
                self._connections.add(back)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pump(reader, back, answers=False))
                    both.create_task(self._pump(there, writer, answers=True))
            finally:
                self._connections.difference_update(ends)
                for end in ends:
                    end.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await source.read(_CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._flowing.wait()
            if answers and self._losing:
                raise ConnectionResetError
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()

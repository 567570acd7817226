"""What each service may say on the bus: the chart's configuration in a real nats-server, used through the bus library."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats
import pytest

import conductor_bus.__main__
from conductor_bus import (
    Bus,
    BusConfig,
    BusError,
    CaughtUp,
    Credentials,
    Done,
    ObjectMessage,
    RequeueAfter,
    Result,
    Wake,
    Work,
    WorkPolicy,
    WorkQueue,
)
from conductor_dev.api import Json
from conductor_dev.waiting import wait_until
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE
from conductor_model.refs import ObjectKey

pytestmark = pytest.mark.integration

SERVICES = ("watcher", "scheduler", "aws-provisioner", "gcp-provisioner", "sql-provisioner", "secrets-writer")
USERS = (*SERVICES, "dead-letters")
WORKERS = ("aws-provisioner", "gcp-provisioner", "sql-provisioner", "secrets-writer")
KINDS = (RDS_INSTANCE.group_kind,)
CONFIG = BusConfig(
    request_timeout=1.0, work=WorkPolicy(backoff_base=0.05, backoff_cap=0.1, dead_letter_after=2)
)

Login = Callable[..., Awaitable[Bus]]


@pytest.fixture
def server(rendered: list[Json], tmp_path: Path) -> Iterator[str]:
    """The URL of a server with the chart's configuration; only ports and folder are the test's."""
    (config,) = [
        each["data"]["nats.conf"]
        for each in rendered
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "conductor-nats"
    ]
    file = tmp_path / "nats.conf"
    file.write_text(config.replace("store_dir: /data", f"store_dir: '{tmp_path / 'jetstream'}'"))
    passwords = {f"{name.upper().replace('-', '_')}_PASSWORD": f"p-{name}" for name in USERS}
    command = [
        str(Path(sysconfig.get_path("scripts")) / "nats-server"),
        f"--config={file}",
        "--addr=127.0.0.1",
        "--port=-1",
        "--http_port=-1",
        f"--ports_file_dir={tmp_path}",
    ]
    log = tmp_path / "nats.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **passwords}, stdout=output, stderr=output)

    def announced() -> str | None:
        assert process.poll() is None, log.read_text()
        for ports in tmp_path.glob("*.ports"):
            try:
                return str(json.loads(ports.read_text())["nats"][0])
            except ValueError:
                return None
        return None

    yield wait_until("nats-server says where it listens", announced)
    process.kill()
    process.wait()


@pytest.fixture
async def login(server: str, tmp_path: Path) -> AsyncIterator[Login]:
    """Connects as one of the users."""
    async with AsyncExitStack() as stack:

        async def as_user(name: str) -> Bus:
            password = tmp_path / f"{name}.password"
            password.write_text(f"p-{name}\n")
            credentials = Credentials(user=f"conductor-{name}", password_file=password)
            bus = await Bus.connect(server, name=name, config=CONFIG, credentials=credentials)
            stack.push_async_callback(bus.close)
            return bus

        yield as_user


def key(name: str = "rds-1") -> ObjectKey:
    return ObjectKey(RDS_INSTANCE.group_kind, "conductor-system", name)


async def say(bus: Bus, name: str = "rds-1") -> None:
    publisher = bus.publisher("/test")
    await publisher.publish(key(name), "uid-1", "1", b'{"spec":{}}', expected_sequence=None)


async def done(_: Work) -> Result:
    return Done()


@asynccontextmanager
async def working(
    queue: WorkQueue, handle: Callable[[Work], Awaitable[Result]] = done
) -> AsyncIterator[None]:
    """From when it receives until it has stopped."""
    stop = asyncio.Event()
    running = asyncio.create_task(queue.run(handle, stop))
    async with asyncio.timeout(30):
        while not queue.receiving:  # noqa: ASYNC110 - the queue offers a state, not an event
            await asyncio.sleep(0.02)
    try:
        yield
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("first", SERVICES)
async def test_whoever_comes_first_makes_the_streams(login: Login, first: str):
    await (await login(first)).ensure()
    for other in SERVICES:
        await (await login(other)).ensure()


async def test_the_watcher_publishes_buries_and_compares(login: Login):
    watcher = await login("watcher")
    await watcher.ensure()
    publisher = watcher.publisher("/test")
    await say(watcher)
    await publisher.tombstone(
        key("rds-2"), "uid-2", "2", api_version=RDS_INSTANCE.gvk.api_version, expected_sequence=0
    )
    assert (await publisher.state(KINDS)).keys() == {key(), key("rds-2")}


@pytest.mark.parametrize("reader", SERVICES)
async def test_everybody_reads_and_follows(login: Login, reader: str):
    watcher, bus = await login("watcher"), await login(reader)
    await watcher.ensure()
    await say(watcher)
    latest = await bus.latest(key())
    assert latest is not None
    assert latest.uid == "uid-1"
    seen = []
    async with asyncio.timeout(30):
        async for each in bus.follow(KINDS):
            if isinstance(each, CaughtUp):
                break
            assert isinstance(each, ObjectMessage)
            seen.append(each.key)
    assert seen == [key()]


@pytest.mark.parametrize("forger", [name for name in SERVICES if name != "watcher"])
async def test_nobody_but_the_watcher_says_what_an_object_looks_like(login: Login, forger: str):
    watcher, bus = await login("watcher"), await login(forger)
    await watcher.ensure()
    with pytest.raises(BusError):
        await say(bus)
    assert await watcher.latest(key()) is None


@pytest.mark.parametrize("worker", WORKERS)
async def test_a_worker_locks_sets_timers_and_sets_aside_what_it_cannot_handle(login: Login, worker: str):
    watcher, bus = await login("watcher"), await login(worker)
    await watcher.ensure()
    await say(watcher)
    await say(watcher, "poison")
    stop, woken = asyncio.Event(), asyncio.Event()

    async def handle(work: Work) -> Result:
        if work.key == key("poison"):
            raise RuntimeError
        if isinstance(work.cause, Wake):
            woken.set()
            return Done()
        return RequeueAfter(1.0)

    queue = bus.work_queue(worker, KINDS)
    running = asyncio.create_task(queue.run(handle, stop))
    async with asyncio.timeout(30):
        await woken.wait()
        while queue.statistics.dead_letters == 0:  # noqa: ASYNC110 - the queue offers a count, not an event
            await asyncio.sleep(0.02)
    stop.set()
    await running
    assert queue.statistics.locks_lost == 0


INTRUSIONS = [(worker, other) for worker in WORKERS for other in SERVICES if other != worker]


@pytest.mark.parametrize(("worker", "intruder"), INTRUSIONS)
async def test_nobody_touches_the_consumer_of_another(login: Login, server: str, worker: str, intruder: str):
    """Who deletes it has everything worked through again; who pulls from it takes work away."""
    bus = await login(worker)
    async with working(bus.work_queue(worker, KINDS)):
        complaints = []

        async def complain(error: Exception) -> None:
            complaints.append(str(error))

        async with await nats.connect(
            server, user=f"conductor-{intruder}", password=f"p-{intruder}", error_cb=complain
        ) as client:
            for verb in ("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "PAUSE", "RESET", "UNPIN", "MSG.NEXT"):
                await client.publish(f"$JS.API.CONSUMER.{verb}.CONDUCTOR_OBJECTS.{worker}")
                await client.publish(f"$JS.API.CONSUMER.{verb}.CONDUCTOR_OBJECTS.{worker}.conductor.>")
            await client.flush()
            disguised = {
                "stream_name": "CONDUCTOR_OBJECTS",
                "config": {"name": worker, "durable_name": worker},
            }
            answer = await client.request(
                "$JS.API.CONSUMER.CREATE.CONDUCTOR_OBJECTS.reader-1", json.dumps(disguised).encode()
            )
            assert "does not match" in json.loads(answer.data)["error"]["description"]
        assert len(complaints) == 16, complaints
        assert all("permissions violation for publish" in each.lower() for each in complaints)


@pytest.mark.parametrize("worker", WORKERS)
async def test_a_worker_makes_its_own_consumer_anew_for_other_kinds(login: Login, worker: str):
    watcher, bus = await login("watcher"), await login(worker)
    await watcher.ensure()
    await say(watcher)
    async with working(bus.work_queue(worker, [MYSQL_INSTANCE.group_kind])):
        pass
    seen = asyncio.Event()

    async def handle(_: Work) -> Result:
        seen.set()
        return Done()

    async with working(bus.work_queue(worker, KINDS), handle), asyncio.timeout(30):
        await seen.wait()


async def test_who_tends_the_dead_letters_can_list_show_replay_and_discard_them(
    login: Login,
    server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """By the command, with the variables that docs/dead-letters.md tells."""
    password = tmp_path / "password"
    password.write_text("p-dead-letters")
    for name, value in {
        "NATS_URL": server,
        "NATS_USER": "conductor-dead-letters",
        "NATS_PASSWORD_FILE": str(password),
    }.items():
        monkeypatch.setenv(name, value)

    async def command(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(conductor_bus.__main__.main, ["dead-letters", *words])
        return code, capsys.readouterr().out

    watcher, worker = await login("watcher"), await login("aws-provisioner")
    await watcher.ensure()
    mended, handled = asyncio.Event(), asyncio.Event()

    async def handle(work: Work) -> Result:
        if not mended.is_set():
            raise RuntimeError
        handled.set()
        return Done()

    queue = worker.work_queue("aws-provisioner", KINDS)
    async with working(queue, handle), asyncio.timeout(60):
        await say(watcher, "rds-1")
        await say(watcher, "rds-2")
        while queue.statistics.dead_letters < 2:  # noqa: ASYNC110 - the queue offers a count, not an event
            await asyncio.sleep(0.02)
        _, listed = await command("list")
        numbers = {line.split()[3]: line.split()[0] for line in listed.splitlines()[1:]}
        assert numbers.keys() == {"conductor-system/rds-1", "conductor-system/rds-2"}
        code, shown = await command("show", numbers["conductor-system/rds-1"])
        assert (code, '{"spec":{}}' in shown) == (0, True)
        mended.set()
        assert (await command("replay", numbers["conductor-system/rds-1"]))[0] == 0
        await handled.wait()
        assert (await command("discard", numbers["conductor-system/rds-2"]))[0] == 0
        assert await command("list") == (0, "there are no dead letters\n")


async def test_who_tends_the_dead_letters_can_do_nothing_else(login: Login, server: str):
    watcher = await login("watcher")
    await watcher.ensure()
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error))

    forbidden = [
        "conductor.objects.p00.g.k.n.o",
        "conductor.schedule.aws-provisioner.p00.g.k.n.o",
        "conductor.lock.aws-provisioner.p00.g.k.n.o",
        "conductor.dead.aws-provisioner.objects.p00.g.k.n.o",
        "$JS.API.STREAM.CREATE.ANOTHER",
        *(f"$JS.API.STREAM.{verb}.CONDUCTOR_DEAD_LETTERS" for verb in ("UPDATE", "DELETE", "PURGE")),
        *(f"$JS.API.STREAM.MSG.DELETE.CONDUCTOR_{stream}" for stream in ("OBJECTS", "LOCKS")),
        *(
            f"$JS.API.CONSUMER.{verb}.CONDUCTOR_OBJECTS.x"
            for verb in ("CREATE", "INFO", "DELETE", "MSG.NEXT")
        ),
        "$JS.API.DIRECT.GET.CONDUCTOR_OBJECTS.conductor.objects.p00.g.k.n.o",
    ]
    async with await nats.connect(
        server, user="conductor-dead-letters", password="p-dead-letters", error_cb=complain
    ) as client:
        for subject in forbidden:
            await client.publish(subject, b"{}")
        await client.subscribe("conductor.>")
        await client.flush()
        # The client tells of them in tasks of their own, which may run after the flush has ended.
        async with asyncio.timeout(60):
            while len(complaints) < len(forbidden) + 1:  # noqa: ASYNC110  # nobody says that one has run
                await asyncio.sleep(0.01)
    assert len(complaints) == len(forbidden) + 1, complaints
    assert all("permissions violation" in each.lower() for each in complaints)


async def test_without_a_password_nobody_gets_in(server: str):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await Bus.connect(server, name="nobody", config=CONFIG, credentials=Credentials())

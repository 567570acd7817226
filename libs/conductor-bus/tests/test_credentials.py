"""Who may connect: credentials from files, read when they are needed, never printed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from conductor_bus import Bus, BusConfig, Credentials

PASSWORD = "correct-horse"


@pytest.fixture
def guarded(tmp_path: Path, broker_in: object) -> Iterator[object]:
    config = tmp_path / "nats.conf"
    config.write_text(f'authorization {{ users: [ {{ user: "watcher", password: "{PASSWORD}" }} ] }}\n')
    server = broker_in(tmp_path, config)  # type: ignore[operator]
    server.start()
    yield server
    server.kill()


async def test_a_user_with_a_password_from_a_file_is_let_in(tmp_path: Path, guarded: object) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    environment = {"NATS_USER": "watcher", "NATS_PASSWORD_FILE": str(tmp_path / "password")}
    credentials = Credentials.from_environment(environment)
    async with asyncio.timeout(20):
        bus = await Bus.connect(guarded.url, name="test", credentials=credentials)  # type: ignore[attr-defined]
    assert bus.connected
    await bus.close()


async def test_a_url_may_carry_user_and_password(guarded: object) -> None:
    url = guarded.url.replace("nats://", f"nats://watcher:{PASSWORD}@")  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        bus = await Bus.connect(url, name="test", credentials=Credentials())
    assert bus.connected
    await bus.close()


async def test_a_password_that_is_put_right_later_lets_the_waiting_service_in(
    tmp_path: Path, guarded: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "conductor_bus")
    (tmp_path / "password").write_text("wrong-horse")
    credentials = Credentials(user="watcher", password_file=tmp_path / "password")
    connecting = asyncio.create_task(
        Bus.connect(guarded.url, name="test", config=BusConfig(), credentials=credentials)  # type: ignore[attr-defined]
    )
    async with asyncio.timeout(20):
        while "does not let us in" not in caplog.text:  # noqa: ASYNC110  # a log line tells nobody
            await asyncio.sleep(0.02)
        (tmp_path / "password").write_text(PASSWORD)
        bus = await connecting
    await bus.close()
    assert "horse" not in caplog.text

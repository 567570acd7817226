"""A leader is stopped past its lease with a write not yet sent, its successor gives the place away, and the write comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from conductor_scheduler import __main__ as service
from conductor_scheduler.reload import PolicyFile

pytestmark = pytest.mark.integration

GI = {"requirements": {"capacity": {"storage": "1Gi"}}}
SCRIPT = Path(__file__).with_name("stopped_in_a_write.py")


@pytest.fixture
def deposed_in(configured, world, tmp_path):
    """``with deposed_in(verb) as process``: a scheduler that will stop in its first write of that verb."""

    @contextmanager
    def start(verb):
        with (tmp_path / "stopped.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), world.namespace, verb], stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    return start


async def stopped(world, process):
    def is_stopped():
        pid, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
        assert not pid or os.WIFSTOPPED(status), f"the scheduler ended: {status}"
        return bool(pid)

    await world.until(is_stopped)


async def test_a_quota_is_kept_though_the_deposed_leader_binds_late(world, deposed_in):
    world.create_quota(claims=1)
    world.create_rds("a")
    world.create_rds("b")
    async with world.watching():
        with deposed_in("merge_patch") as deposed:
            world.create_claim("late", resourceName="a", **GI)
            await stopped(world, deposed)
            world.create_claim("first", resourceName="b", priority=1, **GI)
            async with world.running(service.run(PolicyFile(None))):
                await world.bound_claim("first")
                os.kill(deposed.pid, signal.SIGCONT)
                # Written by the one, and taken back by the other.
                await world.rds_where("a", lambda rds: rds["metadata"]["generation"] == 3)
                late = await world.waiting_claim(
                    "late", reason="QuotaExceeded", message="1 used + 1 asked > 1"
                )
                assert "boundResource" not in late["status"]
                assert not world.rds("a")["spec"].get("claimRefs")
                await world.bound_claim("first")


@pytest.mark.parametrize("limit", ["quota", "class"])
async def test_a_limit_is_kept_though_the_deposed_leader_creates_late(world, deposed_in, limit):
    world.create_class()
    if limit == "quota":
        world.create_quota(claims=1)
    else:
        world.limit_class("rds", instances=1)
    async with world.watching():
        with deposed_in("create") as deposed:
            world.create_claim("late", **GI)
            await stopped(world, deposed)
            world.create_claim("first", priority=1, **GI)
            async with world.running(service.run(PolicyFile(None))):
                bound = await world.bound_claim("first")
                assert len(world.all_rds()) == 1
                os.kill(deposed.pid, signal.SIGCONT)
                await world.until(lambda: len(world.all_rds()) == 2)
                kept = bound["status"]["boundResource"]["name"]
                (too_much,) = (name for name in names(world) if name != kept)
                gone = await world.rds_where(too_much, lambda rds: "deletionTimestamp" in rds["metadata"])
                assert all("releasedAt" in ref for ref in gone["spec"]["claimRefs"])
                world.remove_rds(too_much)
                reason = "QuotaExceeded" if limit == "quota" else "NothingFits"
                late = await world.waiting_claim("late", reason=reason, message="1")
                assert "boundResource" not in late["status"]
                await world.until(lambda: names(world) == [kept])
    await world.remove_all_rds()


def names(world):
    return [rds["metadata"]["name"] for rds in world.all_rds()]

"""One leads at a time: after a crash, a stop, a pause, and a loss of the API server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from conductor_kube import LeaderElector, Leadership, LeaseTiming
from conductor_kube.builtin import LEASES

QUICK = LeaseTiming(lease=2, renew_deadline=1.2, renew_every=0.4, retry=0.1)
RENEWALS_PAST_A_LEASE = 7

CANDIDATE = """
import asyncio, sys
from conductor_kube import KubeClient, LeaderElector

async def lead(leadership):
    print("leading", flush=True)
    try:
        while leadership.still_leading():
            await asyncio.sleep(0.05)
        print("no longer leading", flush=True)
        await asyncio.Event().wait()
    finally:
        print("stepped down", flush=True)

async def main():
    async with await KubeClient.open(user_agent="candidate", kubeconfig=sys.argv[1]) as client:
        await LeaderElector(client, namespace=sys.argv[2], name="lease", identity="process").run(lead)

asyncio.run(main())
"""


class Term:
    """What an elector of this process does, and since when."""

    def __init__(self) -> None:
        self.leadership: Leadership | None = None
        self.terms: list[list[float]] = []
        self.task: asyncio.Task[None] | None = None

    @property
    def leads(self) -> bool:
        return self.leadership is not None and self.leadership.still_leading()

    async def lead(self, leadership: Leadership) -> None:
        self.leadership = leadership
        self.terms.append([time.monotonic()])
        try:
            await asyncio.Event().wait()
        finally:
            self.leadership = None
            self.terms[-1].append(time.monotonic())

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def candidate(namespace: Any) -> Any:
    """Starts an elector in this process."""
    started: list[Term] = []

    def start(client: Any, name: Any, timing: Any = QUICK) -> Term:
        term = Term()
        elector = LeaderElector(client, namespace=namespace, name="lease", identity=name, timing=timing)
        term.task = asyncio.create_task(elector.run(term.lead))
        started.append(term)
        return term

    yield start
    for term in started:
        await term.stop()


@pytest.fixture
def process(control_plane: Any, namespace: Any) -> Any:
    """Runs an elector as a process with the default timing; ends with SIGKILL."""

    @asynccontextmanager
    async def run() -> Any:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CANDIDATE,
            control_plane.kubeconfig,
            namespace,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()

    return run


@pytest.fixture
def holder(client: Any, namespace: Any) -> Any:
    async def read() -> Any:
        return json.loads(await client.get(LEASES, namespace, "lease"))["spec"]

    return read


@pytest.fixture
def renewals(holder: Any) -> Any:
    """Yields all the time until the lease was renewed so many times."""

    async def watch(times: Any) -> Any:
        seen: set[str] = set()
        while len(seen) <= times:
            seen.add((await holder())["renewTime"])
            yield
            await asyncio.sleep(0.02)

    return watch


@pytest.mark.integration
async def test_two_candidates_never_both_lead_and_the_second_follows_at_once(
    client: Any, candidate: Any, until: Any, renewals: Any
) -> None:
    first = candidate(client, "first")
    await until(lambda: first.leads)
    second = candidate(client, "second")
    async for _ in renewals(RENEWALS_PAST_A_LEASE):
        assert first.leads
        assert not second.leads
    released = time.monotonic()
    await first.stop()
    await until(lambda: second.leads)
    assert time.monotonic() - released < QUICK.lease, "a lease that was given back is not waited for"


@pytest.mark.integration
async def test_the_lease_tells_who_leads_and_how_often_that_changed(
    client: Any, candidate: Any, until: Any, holder: Any
) -> None:
    first = candidate(client, "first")
    await until(lambda: first.leads)
    spec = await holder()
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("first", 2)
    second = candidate(client, "second")
    await first.stop()
    await until(lambda: second.leads)
    spec = await holder()
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("second", 1)
    await second.stop()
    assert not (await holder()).get("holderIdentity")


@pytest.mark.integration
async def test_of_many_that_start_together_one_leads(
    client: Any, candidate: Any, until: Any, renewals: Any
) -> None:
    all_of_them = [candidate(client, f"c{number}") for number in range(8)]
    await until(lambda: any(each.leads for each in all_of_them))
    async for _ in renewals(3):
        assert sum(each.leads for each in all_of_them) == 1


@pytest.mark.integration
async def test_after_a_crash_another_leads_within_five_seconds(
    client: Any, candidate: Any, process: Any, until: Any, renewals: Any
) -> None:
    async with process() as child:
        assert await child.stdout.readline() == b"leading\n"
        standby = candidate(client, "standby", LeaseTiming())
        async for _ in renewals(2):
            assert not standby.leads
        child.kill()
        killed = time.monotonic()
        await until(lambda: standby.leads)
        assert time.monotonic() - killed < 5


@pytest.mark.integration
async def test_a_leader_that_was_paused_steps_down_when_it_wakes(
    client: Any, candidate: Any, process: Any, until: Any, holder: Any
) -> None:
    async with process() as child:
        assert await child.stdout.readline() == b"leading\n"
        os.kill(child.pid, signal.SIGSTOP)
        standby = candidate(client, "standby")
        await until(lambda: standby.leads)
        os.kill(child.pid, signal.SIGCONT)
        told = [(await child.stdout.readline()).decode().strip()]
        if told == ["no longer leading"]:
            told.append((await child.stdout.readline()).decode().strip())
        assert told[-1] == "stepped down"
        assert standby.leads
        assert (await holder())["holderIdentity"] == "standby"


@pytest.mark.integration
async def test_a_leader_that_cannot_reach_the_api_gives_up_before_another_begins(
    client: Any, proxied: Any, proxy: Any, candidate: Any, until: Any
) -> None:
    cut_off = candidate(proxied, "cut-off")
    await until(lambda: cut_off.leads)
    standby = candidate(client, "standby")
    proxy.stall()
    await until(lambda: standby.leads)
    assert not cut_off.leads
    assert cut_off.terms[0][1:], "its work was cancelled"
    assert cut_off.terms[0][1] < standby.terms[0][0]
    proxy.resume()
    await standby.stop()
    await until(lambda: cut_off.leads)


@pytest.mark.integration
async def test_terms_never_overlap_however_the_network_flaps(
    client: Any, proxied: Any, proxy: Any, candidate: Any, until: Any
) -> None:
    candidates = [candidate(proxied, "flapping"), candidate(client, "steady")]
    for _ in range(3):
        await until(lambda: any(each.leads for each in candidates))
        proxy.stall()
        await until(lambda: candidates[-1].leads)
        proxy.resume()
        await candidates[-1].stop()
        await until(lambda: candidates[0].leads)
        candidates.append(candidate(client, "steady"))
    now = time.monotonic()
    terms = sorted((term[0], term[1] if term[1:] else now) for each in candidates for term in each.terms)
    assert len(terms) >= 6
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(terms))


@pytest.mark.integration
async def test_a_lease_that_was_deleted_is_taken_anew(
    client: Any, candidate: Any, until: Any, holder: Any, namespace: Any
) -> None:
    leader = candidate(client, "leader")
    await until(lambda: leader.leads)
    await client.delete(LEASES, namespace, "lease")
    await until(lambda: _holds(holder, "leader"))
    assert len(leader.terms) == 1
    assert leader.leads


async def _holds(holder: Any, name: Any) -> Any:
    try:
        return (await holder()).get("holderIdentity") == name
    except Exception:
        return False


@pytest.mark.integration
async def test_one_that_sees_its_lease_taken_steps_down_at_once(
    client: Any, candidate: Any, until: Any, namespace: Any
) -> None:
    patient = LeaseTiming(lease=600, renew_deadline=500, renew_every=0.4, retry=0.1)
    leader = candidate(client, "leader", patient)
    await until(lambda: leader.leads)
    usurped = {"spec": {"holderIdentity": "usurper", "leaseDurationSeconds": 3600}}
    await client.merge_patch(LEASES, namespace, "lease", usurped, field_manager="t")
    await until(lambda: leader.terms[0][1:])


@pytest.mark.integration
async def test_work_that_ends_or_fails_ends_the_term_and_gives_the_lease_back(
    client: Any, namespace: Any, holder: Any
) -> None:
    elector = LeaderElector(client, namespace=namespace, name="lease", timing=QUICK)

    async def done(_: Leadership) -> None:
        assert (await holder())["holderIdentity"] == elector.identity

    await elector.run(done)
    assert not (await holder()).get("holderIdentity")

    async def broken(_: Leadership) -> None:
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        await elector.run(broken)
    assert not (await holder()).get("holderIdentity")


@pytest.mark.integration
async def test_the_lease_is_held_until_the_work_has_wound_down(
    client: Any, candidate: Any, namespace: Any, until: Any, renewals: Any
) -> None:
    winding_down = asyncio.Event()
    released = asyncio.Event()

    async def slow_to_stop(_: Leadership) -> None:
        winding_down.set()
        try:
            await asyncio.Event().wait()
        finally:
            await released.wait()

    elector = LeaderElector(client, namespace=namespace, name="lease", timing=QUICK)
    leader = asyncio.create_task(elector.run(slow_to_stop))
    await winding_down.wait()
    standby = candidate(client, "standby")
    leader.cancel()
    async for _ in renewals(RENEWALS_PAST_A_LEASE):
        assert not standby.leads
    released.set()
    await until(lambda: standby.leads)
    assert leader.cancelled()


def test_a_term_ends_by_the_clock_whoever_else_is_asleep() -> None:
    now = 100.0
    leadership = Leadership(100.0, 2.0, lambda: now)
    now = 101.9
    assert leadership.still_leading()
    now = 102.0
    assert not leadership.still_leading()
    leadership.renewed(101.5)
    assert leadership.still_leading()
    now = 200.0
    assert not leadership.still_leading()


@pytest.mark.parametrize(
    "timing",
    [
        {"renew_deadline": 3.0},
        {"renew_every": 2.4},
        {"retry": 1.5},
        {"retry": 0.0},
        {"lease": 1},
    ],
)
def test_timing_that_would_let_two_lead_is_refused(timing: Any) -> None:
    with pytest.raises(ValueError, match="lease timing"):
        LeaseTiming(**timing)

"""Claims come and go at random, with faults, for an hour: at the end nothing has grown. ``make soak``; ``--help``.

After each round everything is mended and only the claims that stay are left; then it is measured, at rest, what every part
holds: memory, open files, the streams' messages and bytes, the API's objects. A line is fitted to each
(`flatness`); the exit code says whether any of them rises. The parts that are measured are not killed, for they would begin
anew: of each service it is the other replica that is. Killing all of them is what the fault suite is for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import plan
import requests
from checker import State, dead_letters, leaks, never_broken, unrest
from flatness import Growth, Sample, growth
from world import World

from benchmarks import procfs
from benchmarks.meter import OURSELVES, pids
from conductor_dev.api import CONFIG_MAP, SECRET, SERVICE
from conductor_dev.broker import BinaryNats
from conductor_dev.waiting import wait_until
from conductor_kube.builtin import EVENTS, LEASES
from conductor_model.kinds import (
    CLOUDSQL_INSTANCE,
    MYSQL_INSTANCE,
    POSTGRESQL_INSTANCE,
    RDS_INSTANCE,
    SQL_DATABASE,
)

STAYING = 16
"""Claims that are there from the beginning to the end."""
REST_WITHIN = 180
KEPT = {"CONDUCTOR_BUS_TOMBSTONE_TTL": "60", "CONDUCTOR_BUS_WAKE_TTL": "60"}
"""Seconds. Elsewhere tombstones are kept for a day, and wakes, handled or not, for thirty: the streams would grow for that
long before anything aged out of them."""
MEGABYTE = 2**20
KINDS = (
    *(MYSQL_INSTANCE, POSTGRESQL_INSTANCE, RDS_INSTANCE, CLOUDSQL_INSTANCE, SQL_DATABASE),
    *(SECRET, CONFIG_MAP, SERVICE, LEASES, EVENTS),
)
ALLOWED = {"memory": 8 * MEGABYTE, "files": 4, "messages": 60, "bytes": 256 * 1024, "objects": 0.5}
"""What is noise, by what is measured; of messages and bytes, the tombstones and wakes of a minute come and go."""
JUDGED = (*plan.SERVICES, "nats-server")
"""The others' memory and files are Kubernetes' or the stand-in's: they are shown."""
UNJUDGED_KINDS = (EVENTS,)
"""Kubernetes keeps them for an hour."""


@dataclass(frozen=True, order=True)
class Measure:
    what: str
    of: str

    @property
    def judged(self) -> bool:
        if self.what in {"memory", "files"}:
            return self.of in JUDGED
        return self.of not in {kind.plural for kind in UNJUDGED_KINDS}


def gentle(step: plan.Step) -> plan.Step:
    """The same trouble without an end to any part that is measured."""
    match step:
        case plan.Kill(service, _, away):
            return plan.Kill(service, plan.REPLICAS - 1, away)
        case plan.KillBus(away):
            return plan.FreezeBus(away + 0.5)
        case plan.DeleteStreams():
            return plan.FreezeBus(0.5)
        case plan.BreakDisk(seconds):
            return plan.FillBus(seconds)
        case plan.KillApiServer():
            return plan.Compact()
        case _:
            return step


def rounds(seed: int) -> Iterator[list[plan.Step]]:
    """For ever; each has claims of its own, by names that come again."""
    while True:
        yield [gentle(step) for episode in plan.draw(seed, kills=1) for step in episode]
        seed += 1


def measured(world: World) -> dict[Measure, float]:
    """At this moment, of everything."""
    found: dict[Measure, float] = {}
    for part, pid in pids(world.env).items():
        if part != OURSELVES and not part.endswith(f"-{plan.REPLICAS - 1}"):
            found[Measure("memory", part)] = procfs.resident_memory(pid)
            found[Measure("files", part)] = procfs.open_files(pid)
    nats = world.env.nats
    assert isinstance(nats, BinaryNats), "what the broker holds is asked of our own"
    answer = requests.get(f"{nats.monitoring_url}/jsz", params={"streams": "true"}, timeout=30).json()
    for account in answer["account_details"]:
        for stream in account["stream_detail"]:
            found[Measure("messages", stream["name"])] = stream["state"]["messages"]
            found[Measure("bytes", stream["name"])] = stream["state"]["bytes"]
    for kind in KINDS:
        found[Measure("objects", kind.plural)] = len(world.env.api.list(kind))
    return found


def wait_for_rest(world: World) -> None:
    """Raises AssertionError, with what is not as it shall be."""
    told: str | None = None

    def at_rest() -> bool:
        nonlocal told
        told = unrest(world, State.of(world))
        return told is None

    try:
        wait_until("the world comes to rest", at_rest, timeout=REST_WITHIN, interval=0.5)
    except Exception as error:
        raise AssertionError(f"not at rest after {REST_WITHIN} s: {told}") from error


def soak(world: World, seconds: float, seed: int) -> dict[Measure, list[Sample]]:
    """Samples of each measure, one a round."""
    staying = tuple(plan.Claim(f"stays-{number}") for number in range(STAYING))
    world.play(staying)
    wait_for_rest(world)
    samples: dict[Measure, list[Sample]] = defaultdict(list)
    began = time.monotonic()
    for number, steps in enumerate(rounds(seed)):
        at = time.monotonic() - began
        if at > seconds:
            break
        world.play(tuple(steps))
        world.mend()
        wait_for_rest(world)
        assert (broken := never_broken(State.of(world))) == [], f"round {number}: {broken}"
        world.play(
            tuple(plan.Drop(name) for name in sorted(world.wanted.keys() - {each.name for each in staying}))
        )
        wait_for_rest(world)
        at = time.monotonic() - began
        for measure, value in measured(world).items():
            samples[measure].append((at, value))
        print(f"{at:6.0f} s   round {number + 1}, {world.kills} kills so far: at rest", flush=True)
    assert leaks(world, State.of(world)) == []
    assert dead_letters(world) == 0
    return samples


def verdicts(samples: dict[Measure, list[Sample]]) -> dict[Measure, Growth]:
    """Raises ValueError when it was too short."""
    return {
        measure: growth(found, allowed=ALLOWED[measure.what]) for measure, found in sorted(samples.items())
    }


def line(measure: Measure, found: Growth) -> str:
    unit = MEGABYTE if measure.what in {"memory", "bytes"} else 1
    outcome = ("flat" if found.flat else "GROWS") if measure.judged else "not judged"
    return (
        f"{measure.what:<10}{measure.of:<28}{found.typical / unit:>10.1f}{found.grown / unit:>+10.2f}"
        f"{found.allowed / unit:>10.2f}{found.per_hour / unit:>+12.2f}   {outcome}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="(default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of claims and faults (default: 1)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="conductor-soak-") as folder,
        World.start(Path(folder), KEPT) as world,
    ):
        samples = soak(world, 60 * options.minutes, options.seed)
        kills, claims = world.kills, len(world.wanted)
    found = verdicts(samples)
    print(f"\n{kills} kills; {claims} claims at the end, none lost or doubled; sizes in MB")
    print(f"{'what':<10}{'of':<28}{'median':>10}{'grown':>10}{'allowed':>10}{'an hour':>12}")
    for measure, grown in found.items():
        print(line(measure, grown))
    return 1 if any(measure.judged and not grown.flat for measure, grown in found.items()) else 0


if __name__ == "__main__":
    sys.exit(main())

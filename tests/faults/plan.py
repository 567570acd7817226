"""What happens in a run, drawn from a seed before anything happens. Pure: the same seed gives the same plan.

A plan is made of episodes. In each, claims come and go while trouble strikes; then everything is mended, and the world
must come to rest. A seed that fails is replayed by ``--fault-seed``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SERVICES = ("watcher", "scheduler", "aws-provisioner", "secrets-writer")
REPLICAS = 2


class Fault(StrEnum):
    """How a connection between two parts misbehaves."""

    STALL = "stall"
    RESET = "reset"
    REFUSE = "refuse"
    DELAY = "delay"
    LOSE_ANSWERS = "lose_answers"


@dataclass(frozen=True)
class Claim:
    """A claim is made."""

    name: str


@dataclass(frozen=True)
class Drop:
    """A claim is deleted."""

    name: str


@dataclass(frozen=True)
class Replace:
    """A claim is deleted and made again at once, under its name."""

    name: str


@dataclass(frozen=True)
class Kill:
    """A service's replica gets SIGKILL, and is started again after a while."""

    service: str
    replica: int
    away: float


@dataclass(frozen=True)
class Freeze:
    """A service's replica gets SIGSTOP, and SIGCONT after a while: beyond its lease, or within."""

    service: str
    replica: int
    seconds: float


@dataclass(frozen=True)
class KillBus:
    """NATS gets SIGKILL; ``wiped``: it comes back without its data."""

    away: float
    wiped: bool


@dataclass(frozen=True)
class FreezeBus:
    """NATS gets SIGSTOP for a while."""

    seconds: float


@dataclass(frozen=True)
class KillApiServer:
    """The API server gets SIGKILL."""

    away: float


@dataclass(frozen=True)
class Compact:
    """etcd forgets its history and watches break: who resumes is answered 410."""


@dataclass(frozen=True)
class BadNetwork:
    """The connections between a service and a neighbour misbehave for a while."""

    service: str
    neighbour: str
    fault: Fault
    seconds: float


@dataclass(frozen=True)
class Throttling:
    """The cloud refuses that many calls, asking for fewer."""

    calls: int


@dataclass(frozen=True)
class SlowCloud:
    """Creating, changing and deleting take so long from now on."""

    seconds: float


@dataclass(frozen=True)
class LeaseStep:
    """A leader's lease says that it was renewed in the past, or in the future: a clock that was set."""

    service: str
    seconds: float


@dataclass(frozen=True)
class TwoAdmins:
    """Two people change the same resource at once."""

    claim: str


Step = (
    Claim
    | Drop
    | Replace
    | Kill
    | Freeze
    | KillBus
    | FreezeBus
    | KillApiServer
    | Compact
    | BadNetwork
    | Throttling
    | SlowCloud
    | LeaseStep
    | TwoAdmins
)
KILLS = (Kill, KillBus, KillApiServer)
Episode = tuple[Step, ...]

_WEIGHTS = {
    Kill: 12,
    Freeze: 3,
    BadNetwork: 6,
    KillBus: 2,
    FreezeBus: 1,
    KillApiServer: 1,
    Compact: 1,
    Throttling: 2,
    SlowCloud: 1,
    LeaseStep: 1,
    TwoAdmins: 1,
}
NEIGHBOURS = {
    "watcher": ("api", "bus"),
    "scheduler": ("api", "bus"),
    "aws-provisioner": ("api", "bus", "cloud"),
    "secrets-writer": ("api", "bus"),
}


def draw(
    seed: int, *, kills: int, troubles_per_episode: int = 6, claims_per_episode: int = 8
) -> list[Episode]:
    """Episodes until at least ``kills`` processes were killed."""
    rng = random.Random(seed)
    episodes: list[Episode] = []
    alive: list[str] = []
    made = killed = 0
    while killed < kills:
        steps: list[Step] = []
        for _ in range(claims_per_episode):
            made += 1
            name = f"db-{made:04}"
            steps.append(Claim(name))
            alive.append(name)
        # Each claim once: replacing it takes a while, and what comes next does not wait.
        for name in rng.sample(alive, min(len(alive) // 3, claims_per_episode)):
            if rng.random() < 0.3:
                steps.append(Replace(name))
            else:
                alive.remove(name)
                steps.append(Drop(name))
        steps.extend(_trouble(rng, alive) for _ in range(troubles_per_episode))
        episode = _shuffled(rng, steps)
        killed += sum(isinstance(step, KILLS) for step in episode)
        episodes.append(episode)
    return episodes


def _shuffled(rng: random.Random, steps: Sequence[Step]) -> Episode:
    """In any order, but for each claim: it is made before it is dropped or replaced."""
    order = rng.sample(range(len(steps)), len(steps))
    shuffled = [steps[index] for index in order]
    by_name: dict[str, list[int]] = {}
    for place, step in enumerate(shuffled):
        if isinstance(step, Claim | Drop | Replace):
            by_name.setdefault(step.name, []).append(place)
    for places in by_name.values():
        wanted = sorted((shuffled[place] for place in places), key=steps.index)
        for place, step in zip(sorted(places), wanted, strict=True):
            shuffled[place] = step
    return tuple(shuffled)


def _trouble(rng: random.Random, alive: Sequence[str]) -> Step:
    [kind] = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    service = rng.choice(SERVICES)
    while_ = round(rng.uniform(0.0, 2.0), 2)
    if kind is Kill:
        return Kill(service, rng.randrange(REPLICAS), while_)
    if kind is Freeze:
        return Freeze(service, rng.randrange(REPLICAS), rng.choice([1.0, 4.0, 12.0]))
    if kind is BadNetwork:
        return BadNetwork(service, rng.choice(NEIGHBOURS[service]), rng.choice(list(Fault)), while_ + 0.5)
    if kind is KillBus:
        return KillBus(while_, rng.random() < 0.5)
    if kind is FreezeBus:
        return FreezeBus(while_ + 0.5)
    if kind is KillApiServer:
        return KillApiServer(while_)
    if kind is Throttling:
        return Throttling(rng.randint(1, 10))
    if kind is SlowCloud:
        return SlowCloud(rng.choice([0.0, 0.5, 2.0]))
    if kind is LeaseStep:
        return LeaseStep(rng.choice(["watcher", "scheduler"]), rng.choice([-3600.0, 3600.0]))
    if kind is TwoAdmins and alive:
        return TwoAdmins(rng.choice(alive))
    return Compact()

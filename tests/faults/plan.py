"""What happens in a run, drawn from a seed before anything happens. Pure: the same seed gives the same plan.

A plan is made of episodes. In each, claims come and go while trouble strikes; then everything is mended, and the world
must come to rest. A seed that fails is replayed by ``make test-faults``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

REPLICAS = 2
FREEZES = (1.0, 4.0, 8.0)
"""Seconds: within a lease and a lock, beyond a lease (3), beyond a lock (5)."""
NEIGHBOURS = {
    "watcher": ("api", "bus"),
    "scheduler": ("api", "bus"),
    "aws-provisioner": ("api", "bus", "cloud"),
    "gcp-provisioner": ("api", "bus", "cloud"),
    "sql-provisioner": ("api", "bus", "cloud"),
    "secrets-writer": ("api", "bus"),
}
SERVICES = tuple(NEIGHBOURS)
LEADERS = ("watcher", "scheduler")


class Place(StrEnum):
    """Where a claim's database is made. Also the name of the class that it is made from."""

    AWS = "aws"
    GCP = "gcp"
    SERVER = "server"


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
    place: Place = Place.AWS


@dataclass(frozen=True)
class Drop:
    """A claim is deleted."""

    name: str


@dataclass(frozen=True)
class Replace:
    """A claim is deleted and made again at once, under its name."""

    name: str


@dataclass(frozen=True)
class ReplaceClass:
    """A class is deleted and made again at once, under its name."""

    place: Place


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
    """NATS gets SIGKILL; ``wiped``: its store is deleted before it comes back."""

    away: float
    wiped: bool


@dataclass(frozen=True)
class FreezeBus:
    """NATS gets SIGSTOP for a while."""

    seconds: float


@dataclass(frozen=True)
class DeleteStreams:
    """All of Conductor's streams are deleted while NATS runs."""


@dataclass(frozen=True)
class FillBus:
    """Somebody else's stream takes all that NATS may store."""

    seconds: float


@dataclass(frozen=True)
class BreakDisk:
    """The disk takes nothing more from NATS, which gives up what it could not write to until it is restarted."""

    seconds: float


@dataclass(frozen=True)
class KillApiServer:
    """The API server gets SIGKILL."""

    away: float


@dataclass(frozen=True)
class FreezeApiServer:
    """The API server gets SIGSTOP for a while."""

    seconds: float


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

    place: Place
    calls: int


@dataclass(frozen=True)
class Outage:
    """The cloud fails every call for a while; a server that somebody runs is killed."""

    place: Place
    seconds: float


@dataclass(frozen=True)
class SlowCloud:
    """Creating, changing and deleting take so long from now on."""

    place: Place
    seconds: float


@dataclass(frozen=True)
class LeaseStep:
    """A leader's lease says that it was renewed in the past, or in the future: another machine's clock was set."""

    service: str
    seconds: float


@dataclass(frozen=True)
class SetClock:
    """The wall clock of a replica's machine is so far ahead from now on, or behind."""

    service: str
    replica: int
    seconds: float


@dataclass(frozen=True)
class TwoAdmins:
    """Two people change the same resource at once."""

    claim: str


@dataclass(frozen=True)
class StripFinalizers:
    """Somebody removes all finalizers from a claim's resource."""

    claim: str


OfPeople = Claim | Drop | Replace | ReplaceClass | TwoAdmins | StripFinalizers
OfTheBus = KillBus | FreezeBus | DeleteStreams | FillBus | BreakDisk
OfClouds = Throttling | Outage | SlowCloud
OfProcesses = Kill | Freeze | KillApiServer | FreezeApiServer | Compact | BadNetwork | LeaseStep | SetClock
Step = OfPeople | OfTheBus | OfClouds | OfProcesses
KILLS = (Kill, KillBus, KillApiServer)
Episode = tuple[Step, ...]
Draw = Callable[[random.Random, Sequence[str]], Step]
"""The claims are those that are there when an episode begins, and stay."""


def draw(
    seed: int, *, kills: int, troubles_per_episode: int = 6, claims_per_episode: int = 8
) -> list[Episode]:
    """Episodes until at least ``kills`` processes were killed."""
    rng = random.Random(seed)
    episodes: list[Episode] = []
    alive: list[str] = []
    made = killed = 0
    # Each kind of trouble comes up as often as it weighs, in an order of the seed's own: none is left to chance.
    deck: list[Draw] = []
    while killed < kills:
        steps: list[Step] = []
        before = tuple(alive)
        for _ in range(claims_per_episode):
            made += 1
            name = f"db-{made:04}"
            steps.append(Claim(name, rng.choice(list(Place))))
            alive.append(name)
        # Each claim once: replacing it takes a while, and what comes next does not wait.
        for name in rng.sample(alive, min(len(alive) // 3, claims_per_episode)):
            if rng.random() < 0.3:
                steps.append(Replace(name))
            else:
                alive.remove(name)
                steps.append(Drop(name))
        going = {step.name for step in steps if isinstance(step, Drop | Replace)}
        staying = [name for name in before if name not in going]
        for _ in range(troubles_per_episode):
            deck = deck or rng.sample(_DECK, len(_DECK))
            steps.append(deck.pop()(rng, staying))
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


def _while(rng: random.Random, least: float = 0.5) -> float:
    return round(rng.uniform(least, least + 2.0), 2)


def _kill(rng: random.Random, _: Sequence[str]) -> Step:
    return Kill(rng.choice(SERVICES), rng.randrange(REPLICAS), _while(rng, 0.0))


def _freeze(rng: random.Random, _: Sequence[str]) -> Step:
    return Freeze(rng.choice(SERVICES), rng.randrange(REPLICAS), rng.choice(FREEZES))


def _bad_network(rng: random.Random, _: Sequence[str]) -> Step:
    service = rng.choice(SERVICES)
    return BadNetwork(service, rng.choice(NEIGHBOURS[service]), rng.choice(list(Fault)), _while(rng))


def _two_admins(rng: random.Random, staying: Sequence[str]) -> Step:
    return TwoAdmins(rng.choice(staying)) if staying else Compact()


def _strip_finalizers(rng: random.Random, staying: Sequence[str]) -> Step:
    return StripFinalizers(rng.choice(staying)) if staying else Compact()


def _set_clock(rng: random.Random, _: Sequence[str]) -> Step:
    return SetClock(rng.choice(LEADERS), rng.randrange(REPLICAS), rng.choice([-3600.0, 0.0, 3600.0]))


_WEIGHTS: dict[Draw, int] = {
    _kill: 20,
    _freeze: 3,
    _bad_network: 6,
    lambda rng, _: KillBus(_while(rng, 0.0), wiped=False): 2,
    lambda rng, _: KillBus(_while(rng, 0.0), wiped=True): 2,
    lambda rng, _: FreezeBus(_while(rng)): 1,
    lambda *_: DeleteStreams(): 1,
    lambda rng, _: FillBus(_while(rng)): 1,
    lambda rng, _: BreakDisk(_while(rng)): 1,
    lambda rng, _: KillApiServer(_while(rng, 0.0)): 2,
    lambda rng, _: FreezeApiServer(_while(rng)): 1,
    lambda *_: Compact(): 1,
    lambda rng, _: Throttling(rng.choice([Place.AWS, Place.GCP]), rng.randint(1, 10)): 1,
    lambda rng, _: Outage(rng.choice(list(Place)), _while(rng)): 1,
    lambda rng, _: SlowCloud(rng.choice([Place.AWS, Place.GCP]), rng.choice([0.5, 2.0])): 1,
    lambda rng, _: LeaseStep(rng.choice(LEADERS), rng.choice([-3600.0, 3600.0])): 1,
    _set_clock: 1,
    _two_admins: 1,
    _strip_finalizers: 1,
    lambda rng, _: ReplaceClass(rng.choice(list(Place))): 1,
}
_DECK: list[Draw] = list(chain.from_iterable([kind] * weight for kind, weight in _WEIGHTS.items()))

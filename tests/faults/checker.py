"""What must hold, whatever happened: read from the API, the clouds and the bus, and from nothing of Conductor's own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import broker_trouble
from offers import NOBODY, Server, plain
from plan import Place
from world import SYSTEM, TEAM, World

from conductor_bus import Bus
from conductor_dev.api import CONFIG_MAP, SECRET, SERVICE, Json
from conductor_model.kinds import MYSQL_INSTANCE, POSTGRESQL_INSTANCE
from conductor_model.refs import GroupVersionKind, ResourceType

EVENT = ResourceType(GroupVersionKind("events.k8s.io", "v1", "Event"), "events")
_CLAIM_KINDS = (MYSQL_INSTANCE, POSTGRESQL_INSTANCE)
_PER_RESOURCE = 2
"""Finalizers: that of whoever made what is outside, and that of the claims that use it."""
_NOT_OURS = ("moto.log", "cloudsql.log")
"""Of clouds, which are told the passwords and do not tell us."""


@dataclass(frozen=True)
class State:
    """One look at everything."""

    claims: list[Json]
    resources: list[Json]
    outside: Counter[str]
    """Uid of a resource -> how many databases stand for it, in whatever cloud."""

    @classmethod
    def of(cls, world: World) -> State:
        api = world.env.api
        # The clouds first: what is made while we look has its object already.
        outside = sum((offer.outside() for offer in world.offers.values()), Counter[str]())
        claims = [each for kind in _CLAIM_KINDS for each in api.list(kind, TEAM)]
        resources = [each for offer in world.offers.values() for each in api.list(offer.resource, SYSTEM)]
        return cls(claims, resources, outside)


def never_broken(state: State) -> list[str]:
    """What must not be so at any moment, in the middle of any trouble; empty when all is well."""
    broken: list[str] = []
    held: Counter[str] = Counter()
    for resource in state.resources:
        bound = [
            ref for ref in resource["spec"].get("claimRefs", []) if "uid" in ref and "releasedAt" not in ref
        ]
        if len(bound) > resource["spec"].get("maxClaims", 1):
            broken.append(f"resource {_name(resource)} holds {len(bound)} claims")
        held.update(ref["uid"] for ref in bound)
    broken += [f"claim {uid} is held by {count} resources" for uid, count in held.items() if count > 1]
    # A server's database is marked after it was made; in the end there must be none without a mark.
    marked = {uid: count for uid, count in state.outside.items() if uid != NOBODY}
    broken += [f"resource {uid} has {count} databases" for uid, count in marked.items() if count > 1]
    return broken


def unrest(world: World, state: State) -> str | None:
    """What is not as it shall be in the end; None when the world has come to rest."""
    return next(_unrest(world, state), None)


def _unrest(world: World, state: State) -> Iterator[str]:
    names = {_name(claim) for claim in state.claims}
    if names != world.wanted.keys():
        yield f"claims that differ from those wanted: {sorted(names ^ world.wanted.keys())[:5]}"
    unready = [each for each in state.claims if _condition(each, "Ready") != "True"]
    if unready:
        yield f"{len(unready)} claims are not Ready, such as {_name(unready[0])}: {_told(unready[0])}"
        return
    by_uid = {resource["metadata"]["uid"]: resource for resource in state.resources}
    bound = {claim["status"]["boundResource"]["uid"]: claim for claim in state.claims}
    if by_uid.keys() != bound.keys():
        surplus = [_name(by_uid[uid]) for uid in by_uid.keys() - bound.keys()]
        yield f"{len(by_uid)} resources for {len(bound)} bound claims; too many: {surplus[:3]}"
        return
    for uid, claim in bound.items():
        resource = by_uid[uid]
        if [ref.get("uid") for ref in resource["spec"]["claimRefs"]] != [claim["metadata"]["uid"]]:
            yield f"resource {_name(resource)} is not held by {_name(claim)} alone"
        if len(resource["metadata"].get("finalizers", [])) != _PER_RESOURCE:
            yield f"resource {_name(resource)} is not protected: {resource['metadata'].get('finalizers')}"
    if state.outside != Counter(by_uid.keys()):
        surplus = sorted((state.outside - Counter(by_uid.keys())).elements())
        yield f"{state.outside.total()} databases for {len(by_uid)} resources; too many: {surplus[:3]}"
        return
    yield from _not_as_specified(world, bound, by_uid)
    yield from _objects_differ(world, state.claims)


def locked_out(world: World, state: State) -> list[str]:
    """The claims whose Secret opens nothing, though they are Ready."""
    secrets = {
        owner["uid"]: plain(secret)
        for secret in world.env.api.list(SECRET, TEAM)
        for owner in secret["metadata"].get("ownerReferences", [])
    }
    by_uid = {resource["metadata"]["uid"]: resource for resource in state.resources}
    return [
        _name(claim)
        for claim in state.claims
        if not world.wanted[_name(claim)].opens(
            by_uid[claim["status"]["boundResource"]["uid"]], secrets[claim["metadata"]["uid"]]
        )
    ]


def left_on_the_server(world: World, state: State) -> int:
    """How many roles there are on the database server beside the two of each database."""
    server = world.offers[Place.SERVER]
    assert isinstance(server, Server)
    databases = sum(each["kind"] == server.resource.gvk.kind for each in state.resources)
    return server.roles() - 2 * databases


def leaks(world: World, state: State) -> list[str]:
    """Where a password of any claim, or of the database server, can be read that is not a Secret."""
    api = world.env.api
    passwords = {
        plain(secret)["password"]
        for secret in (*api.list(SECRET, TEAM), *api.list(SECRET, SYSTEM))
        if "password" in secret.get("data", {})
    }
    told = {
        "the objects": str((state.claims, state.resources, api.list(CONFIG_MAP, TEAM))),
        "the events": str(api.list(EVENT)),
        "the bus": broker_trouble.stored(world.env.nats_url),
        **{
            log.name: log.read_text(errors="replace")
            for log in world.env.logs.iterdir()
            if log.name not in _NOT_OURS
        },
    }
    assert passwords, "there is nothing that could leak"
    return [where for where, text in told.items() if any(password in text for password in passwords)]


def dead_letters(world: World) -> int:
    """How many messages ended in the dead-letter stream: none was poisoned, so none should."""
    return asyncio.run(_dead_letters(world.env.nats_url))


async def _dead_letters(url: str) -> int:
    bus = await Bus.connect(url, name="checker")
    try:
        return len([letter async for letter in bus.dead_letters()])
    finally:
        await bus.close()


def _not_as_specified(world: World, bound: dict[str, Json], by_uid: dict[str, Json]) -> Iterator[str]:
    for uid, claim in bound.items():
        if not world.wanted[_name(claim)].shows(by_uid[uid]):
            yield f"what is outside of {_name(by_uid[uid])} is not as its spec says"


def _objects_differ(world: World, claims: list[Json]) -> Iterator[str]:
    api = world.env.api
    owners = {claim["metadata"]["uid"]: _name(claim) for claim in claims}
    for kind in (SECRET, CONFIG_MAP, SERVICE):
        held = {
            reference["uid"]: _name(found)
            for found in api.list(kind, TEAM)
            for reference in found["metadata"].get("ownerReferences", [])
        }
        if held != owners:
            yield f"{kind.gvk.kind}s beside {len(held)} claims, of {len(owners)}"


def _name(found: Json) -> str:
    name: str = found["metadata"]["name"]
    return name


def _condition(found: Json, kind: str) -> str:
    conditions: list[dict[str, Any]] = found.get("status", {}).get("conditions", [])
    return next((str(each["status"]) for each in conditions if each["type"] == kind), "")


def _told(claim: Json) -> str:
    conditions = claim.get("status", {}).get("conditions", [])
    return (
        "; ".join(
            f"{each['type']}={each['status']} {each['reason']}: {each['message']}" for each in conditions
        )
        or "nothing"
    )

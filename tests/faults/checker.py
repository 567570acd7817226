"""What must hold, whatever happened: read from the API, the cloud and the bus, and from nothing of Conductor's own."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from dataclasses import dataclass
from typing import Any

from world import SYSTEM, TEAM, World

from conductor_bus import Bus, BusConfig
from conductor_dev.api import CONFIG_MAP, SECRET, SERVICE, Json
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, WATCHED_KINDS

UID_TAG = "conductor.io/concrete-uid"


@dataclass(frozen=True)
class State:
    """One look at everything."""

    claims: list[Json]
    resources: list[Json]
    instances: dict[str, dict[str, str]]
    """Identifier -> tags, of every DB instance in the account."""

    @classmethod
    def of(cls, world: World) -> State:
        api = world.env.api
        # The cloud first: what is made while we look has its object already.
        instances = _db_instances(world)
        return cls(api.list(MYSQL_INSTANCE, TEAM), api.list(RDS_INSTANCE, SYSTEM), instances)


def never_broken(state: State) -> list[str]:
    """What must not be so at any moment, in the middle of any trouble; empty when all is well."""
    broken: list[str] = []
    held: Counter[str] = Counter()
    for resource in state.resources:
        name = resource["metadata"]["name"]
        bound = [
            ref for ref in resource["spec"].get("claimRefs", []) if "uid" in ref and "releasedAt" not in ref
        ]
        if len(bound) > resource["spec"].get("maxClaims", 1):
            broken.append(f"resource {name} holds {len(bound)} claims")
        held.update(ref["uid"] for ref in bound)
    broken += [f"claim {uid} is held by {count} resources" for uid, count in held.items() if count > 1]
    made = Counter(tags.get(UID_TAG, "nobody") for tags in state.instances.values())
    broken += [f"resource {uid} has {count} DB instances" for uid, count in made.items() if count > 1]
    return broken


def unrest(world: World, state: State) -> str | None:
    """What is not as it shall be in the end; None when the world has come to rest."""
    names = {claim["metadata"]["name"] for claim in state.claims}
    if names != world.wanted:
        return f"claims that differ from those wanted: {sorted(names ^ world.wanted)[:5]}"
    unready = [each for each in state.claims if _condition(each, "Ready") != "True"]
    if unready:
        return f"{len(unready)} claims are not Ready, such as {unready[0]['metadata']['name']}: {_told(unready[0])}"
    by_uid = {resource["metadata"]["uid"]: resource for resource in state.resources}
    bound = {claim["status"]["boundResource"]["uid"]: claim for claim in state.claims}
    if by_uid.keys() != bound.keys():
        return f"{len(by_uid)} resources for {len(bound)} bound claims: {sorted(by_uid.keys() ^ bound.keys())[:3]}"
    for uid, claim in bound.items():
        refs = by_uid[uid]["spec"]["claimRefs"]
        if [ref.get("uid") for ref in refs] != [claim["metadata"]["uid"]]:
            return (
                f"resource {by_uid[uid]['metadata']['name']} is not held by {claim['metadata']['name']} alone"
            )
    owners = sorted(tags.get(UID_TAG, "nobody") for tags in state.instances.values())
    if owners != sorted(by_uid):
        return (
            f"{len(owners)} DB instances for {len(by_uid)} resources: {sorted(set(owners) ^ set(by_uid))[:3]}"
        )
    return _objects_differ(world, state.claims)


def leaks(world: World, state: State) -> list[str]:
    """Where a password of any claim can be read that is not a Secret."""
    passwords = {
        base64.b64decode(secret["data"]["password"]).decode()
        for secret in world.env.api.list(SECRET, TEAM)
        if "password" in secret.get("data", {})
    }
    told = {
        "the objects": str((state.claims, state.resources, world.env.api.list(CONFIG_MAP, TEAM))),
        "the bus": asyncio.run(_on_the_bus(world.env.nats_url)),
        **{
            log.name: log.read_text(errors="replace")
            for log in world.env.logs.iterdir()
            if log.name != "moto.log"
        },
    }
    return [where for where, text in told.items() if any(password in text for password in passwords)]


def dead_letters(world: World) -> int:
    """How many messages ended in the dead-letter stream: none was poisoned, so none should."""
    return asyncio.run(_dead_letters(world.env.nats_url))


def _objects_differ(world: World, claims: list[Json]) -> str | None:
    api = world.env.api
    owners = {claim["metadata"]["uid"]: claim["metadata"]["name"] for claim in claims}
    for kind in (SECRET, CONFIG_MAP, SERVICE):
        held = {
            reference["uid"]: found["metadata"]["name"]
            for found in api.list(kind, TEAM)
            for reference in found["metadata"].get("ownerReferences", [])
        }
        if held != owners:
            return f"{kind.gvk.kind}s beside {len(held)} claims, of {len(owners)}"
    return None


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


def _db_instances(world: World) -> dict[str, dict[str, str]]:
    pages = world.cloud.get_paginator("describe_db_instances").paginate()
    return {
        each["DBInstanceIdentifier"]: {tag["Key"]: tag["Value"] for tag in each["TagList"]}
        for page in pages
        for each in page["DBInstances"]
    }


async def _on_the_bus(url: str) -> str:
    bus = await Bus.connect(url, name="checker", config=BusConfig())
    try:
        kinds = [kind.group_kind for kind in WATCHED_KINDS]
        return "".join([message.data.decode() async for message in bus.snapshot(kinds)])
    finally:
        await bus.close()


async def _dead_letters(url: str) -> int:
    bus = await Bus.connect(url, name="checker", config=BusConfig())
    try:
        return len([letter async for letter in bus.dead_letters()])
    finally:
        await bus.close()

"""Of several bindings that came too late no more are taken back than break the limit, however their writes overlap."""

from __future__ import annotations

import json
from random import Random

import pytest

from conductor_model.databases import MYSQL_INSTANCE
from conductor_model.rds import RDS_INSTANCE
from conductor_model.refs import ObjectKey
from tests.model.people import SYSTEM, TEAM, Claim, Limit, Offer
from tests.model.system import System

CLAIMS = {"a": "x", "b": "y", "c": "z"}


def let_go(system: System) -> set[str]:
    """The resources that lost a claim at any time since they had one."""
    had, lost = set[str](), set[str]()
    for event in system.api.events:
        if event.key.group_kind == RDS_INSTANCE.group_kind and event.raw is not None:
            refs = json.loads(event.raw)["spec"].get("claimRefs") or []
            bound = any("uid" in ref for ref in refs)
            (had if bound else lost if event.key.name in had else set()).add(event.key.name)
    return lost


@pytest.mark.parametrize("seed", range(5))
def test_while_one_is_being_taken_back_the_others_wait(seed: int) -> None:
    system, chance = System(), Random(seed)
    try:
        Limit(claims=2, storage="100Gi").carry_out(system.api)
        for claim, resource in CLAIMS.items():
            Claim(claim, "5Gi", 0, None).carry_out(system.api)
            Offer(resource, "Retain", "5Gi", 1, claim).carry_out(system.api)
            found = system.api.objects[RDS_INSTANCE, SYSTEM, resource]
            uid = system.api.objects[MYSQL_INSTANCE, TEAM, claim]["metadata"]["uid"]
            refs = [{**ref, "uid": uid} for ref in found["spec"]["claimRefs"]]
            system.api.merge_patch(RDS_INSTANCE, SYSTEM, resource, {"spec": {"claimRefs": refs}}, None)
        system.leader_is_deposed()
        for claim in CLAIMS:
            system.leader.settle(ObjectKey(MYSQL_INSTANCE.group_kind, TEAM, claim))
        for _ in range(30):
            while system.step(chance):
                pass
            system.time_passes(1)
        assert len(let_go(system)) == 1
    finally:
        system.close()

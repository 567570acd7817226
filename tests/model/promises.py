"""What holds at every step, and what holds when nothing happens any more: read off the API server and the cloud alone."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from typing import Any

from conductor_kube.builtin import SECRETS
from conductor_model.annotations import CLASS_LABEL, IN_USE_FINALIZER, PROVISIONER_FINALIZER
from conductor_model.kinds import CLAIM_QUOTA, MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.quantity import Quantity
from conductor_scheduler.decide import Keep, Vanished, Wait, decide
from conductor_scheduler.release import orphaned_refs, unfinished
from tests.model.api_server import ApiServer, Json
from tests.model.system import POLICY, System


def at_every_step(system: System) -> None:
    api = system.api
    state = api.writes, len(system.cloud.made), len(system.cloud.databases)
    if state == system.looked_at:
        return
    system.looked_at = state
    claims = {each["metadata"]["uid"]: each for each in api.all_of(MYSQL_INSTANCE)}
    concretes = {each["metadata"]["uid"]: each for each in api.all_of(RDS_INSTANCE)}
    for concrete in concretes.values():
        _a_resource_is_not_given_away_twice(concrete)
    for uid, claim in claims.items():
        _what_a_claim_was_told_of_it_has(uid, claim, concretes)
    _limits_are_kept(api, claims, concretes)
    _connections_are_their_claims_own(api, claims, concretes)
    for uid, times in Counter(system.cloud.made).items():
        # A create that was on its way when its object was deleted may come after the database has gone. It goes too.
        staying = uid in concretes and "deletionTimestamp" not in concretes[uid]["metadata"]
        assert times == 1 or not staying, "a database was made twice for one object"
    made_for = [each.uid for each in system.cloud.databases.values()]
    assert len(made_for) == len(set(made_for)), "one object has two databases"
    for name, database in system.cloud.databases.items():
        found = concretes.get(database.uid)
        if found is not None:
            assert PROVISIONER_FINALIZER in found["metadata"].get("finalizers", ()), (
                f"{name} was made unprotected"
            )


def at_rest(system: System) -> None:
    api, view = system.api, system.leader.view
    claims = {each["metadata"]["uid"]: each for each in api.all_of(MYSQL_INSTANCE)}
    concretes = {each["metadata"]["uid"]: each for each in api.all_of(RDS_INSTANCE)}
    held = {key: found.metadata.resource_version for key, found in view.claims.items()}
    assert sorted(held.values()) == sorted(each["metadata"]["resourceVersion"] for each in claims.values())
    for claim in view.claims.values():
        match decide(claim, view, POLICY):
            case Keep(concrete=concrete, surplus=surplus):
                assert not surplus
                status = claims[claim.uid]["status"]
                assert _told(claims[claim.uid]) == concrete.uid
                ready = {each["type"]: each["status"] for each in status["conditions"]}.get("Ready")
                assert ready == "True", f"{claim.key} is bound and has no connection"
                assert (SECRETS, claim.metadata.namespace, claim.secret_name) in api.objects
            case Wait():
                assert claims[claim.uid]["status"]["phase"] == "Pending"
            case Vanished():
                assert claims[claim.uid]["status"]["phase"] == "Lost"
            case other:
                raise AssertionError(f"{claim.key}: {type(other).__name__} is still to be done")
    for concrete in view.concretes.values():
        assert unfinished(concrete) is None
        assert not orphaned_refs(concrete, view)
        assert concrete.deletion_held or not concrete.being_deleted, f"{concrete.key} never goes"
    there = {each.uid for each in system.cloud.databases.values()}
    left = [uid for uid in there - concretes.keys() if _policy(api, uid) == "Delete"]
    assert not left, "something is left behind in the cloud"
    for uid in concretes.keys() - there:
        # The Secret of a resource that was kept keeps its name: a person has to decide about that.
        assert _says(concretes[uid], "Synced") == "CredentialsConflict", "something was never made"


def _a_resource_is_not_given_away_twice(concrete: Json) -> None:
    spec = concrete["spec"]
    bound = [ref for ref in spec.get("claimRefs", []) if "uid" in ref and "releasedAt" not in ref]
    released = [ref for ref in spec.get("claimRefs", []) if "releasedAt" in ref]
    assert len(bound) <= spec.get("maxClaims", 1), "more claims than places"
    given = sum(_storage(ref.get("capacity", {})) for ref in bound)
    assert given <= _storage(spec["capabilities"]["capacity"]), "more was given than there is"
    assert not bound or IN_USE_FINALIZER in concrete["metadata"].get("finalizers", ()), (
        "bound and unprotected"
    )
    uids = [ref["uid"] for ref in bound]
    assert len(uids) == len(set(uids))
    assert not (released and spec.get("maxClaims", 1) == 1 and bound), "what is Released was bound"


def _what_a_claim_was_told_of_it_has(uid: str, claim: Json, concretes: dict[str, Json]) -> None:
    told = _told(claim)
    if told is not None:
        assert told in concretes, "a bound claim's resource is gone"
        refs = concretes[told]["spec"].get("claimRefs", [])
        assert any(ref.get("uid") == uid and "releasedAt" not in ref for ref in refs), (
            "its place was taken away"
        )


def _limits_are_kept(api: ApiServer, claims: dict[str, Json], concretes: dict[str, Json]) -> None:
    """Of what claims were told that they have. The model's limits never change."""
    having = [
        (ref, concretes[told])
        for uid, claim in claims.items()
        if (told := _told(claim)) is not None and told in concretes
        for ref in concretes[told]["spec"].get("claimRefs", [])
        if ref.get("uid") == uid
    ]
    for quota in api.all_of(CLAIM_QUOTA):
        hard = quota["spec"]["hard"]
        assert len(having) <= hard["claims"], "more claims than the quota allows"
        taken = sum(_storage(ref.get("capacity", {})) for ref, _ in having)
        assert taken <= _storage(hard["capacity"]), "more capacity than the quota allows"
    for source in api.all_of(RESOURCE_CLASS):
        most = source.get("limits", {}).get("instances")
        made = [each for _, each in having if CLASS_LABEL in each["metadata"].get("labels", {})]
        # Of what is kept, a resource made too late would only be another's to have.
        if most is not None and source["rebindPolicy"] == "Delete":
            assert len(made) <= most, "more was made than the class allows"


def _connections_are_their_claims_own(
    api: ApiServer, claims: dict[str, Json], concretes: dict[str, Json]
) -> None:
    for secret in api.all_of(SECRETS):
        owners = [each["uid"] for each in secret["metadata"].get("ownerReferences", [])]
        for uid in owners:
            claim = claims.get(uid)
            if claim is None:
                continue  # The garbage collector comes for it.
            host = b64decode(secret["data"]["host"]).decode()
            hosts = {
                each.get("status", {}).get("endpoint", {}).get("host")
                for each in concretes.values()
                for ref in each["spec"].get("claimRefs", [])
                if ref.get("uid") == uid
            }
            assert host in hosts, "a connection to what is another's"


def _says(found: Json, condition: str) -> str | None:
    """The reason that its condition of this type gives."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((str(each["reason"]) for each in conditions if each["type"] == condition), None)


def _policy(api: ApiServer, uid: str) -> str:
    """Of an object that was there once."""
    last = [event.raw for event in api.events if event.uid == uid and event.raw is not None][-1]
    return str(json.loads(last)["spec"].get("rebindPolicy", "Retain"))


def _told(claim: Json) -> str | None:
    bound: dict[str, Any] = claim.get("status", {}).get("boundResource", {})
    return bound.get("uid")


def _storage(capacity: Json) -> int:
    return Quantity.parse(capacity.get("storage", 0)).nanos

"""What the services make of objects of installed kinds, as JSON: objects come in by standard input, as JSON too.

Run in a process of its own, in whose path a package with kinds is installed: nothing here names one of them.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from conductor_model.claims import Claim
from conductor_model.connection import Connectable
from conductor_model.crds import crd
from conductor_model.kinds import BY_GROUP_KIND, CLAIM_MODELS, CONCRETE_MODELS, WATCHED_KINDS
from conductor_model.refs import GroupKind, GroupVersionKind, ObjectKey
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Provision, decide
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import View
from conductor_secrets_writer.config import Settings
from conductor_secrets_writer.decide import Publish
from conductor_secrets_writer.decide import decide as decide_connection
from conductor_secrets_writer.objects import connection_objects
from conductor_secrets_writer.related import HANDLED_KINDS


def key_of(written: dict[str, Any]) -> ObjectKey:
    kind = GroupVersionKind.parse(written["apiVersion"], written["kind"]).group_kind
    return ObjectKey(kind, written["metadata"]["namespace"], written["metadata"]["name"])


def scheduled(written: dict[str, Any], world: list[dict[str, Any]]) -> dict[str, Any]:
    view = View()
    for each in (*world, written):
        view.observe(key_of(each), json.dumps(each).encode())
    decision = decide(view.claims[key_of(written)], view, Policy(SchedulerConfig()))
    match decision:
        case Bind():
            return {"binds": decision.concrete.metadata.name}
        case Provision():
            return {"makes": decision.draft.body["spec"]}
    return {"waits": decision.message}  # type: ignore[union-attr]


def connected(
    written: dict[str, Any], resource: dict[str, Any], credentials: dict[str, str]
) -> dict[str, Any]:
    claim: Claim = CLAIM_MODELS[key_of(written).group_kind].model_validate(written)
    concrete = CONCRETE_MODELS[key_of(resource).group_kind].model_validate(resource)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    decision = decide_connection(claim, concrete, proven=True, now=now, settings=Settings())
    if not isinstance(decision, Publish):
        return {"waits": True}
    data = {name: value.encode() for name, value in credentials.items()}
    source = Connectable(concrete.provider, decision.endpoint, concrete.connection_facts, data)
    connection = claim.connection_format.connection(source)
    return {
        "objects": [str(each.name) for each in connection_objects(claim, connection)],
        "public": dict(connection.public),
        "secret": dict(connection.secret),
    }


def main() -> None:
    asked = json.load(sys.stdin)
    kinds = [GroupKind(*each) for each in asked["kinds"]]
    answer = {
        "crds": [crd(BY_GROUP_KIND[each])["metadata"]["name"] for each in kinds],
        "watched": [each in {type.group_kind for type in WATCHED_KINDS} for each in kinds],
        "handled": [each in HANDLED_KINDS for each in kinds],
        "scheduled": [scheduled(each, asked["world"]) for each in asked["claims"]],
        "connected": connected(*asked["connect"]),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()

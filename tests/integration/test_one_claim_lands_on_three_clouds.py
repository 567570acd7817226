"""One manifest of a claim, three environments: the class alone decides where its database is."""

from __future__ import annotations

import pytest
from google_cloud import Google
from shared_server import SharedServer
from stage import SYSTEM, Stage

from conductor_dev.api import Json
from conductor_model.kinds import POSTGRESQL_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import ResourceType

pytestmark = pytest.mark.integration

CLAIM = {
    "apiVersion": POSTGRESQL_INSTANCE.gvk.api_version,
    "kind": POSTGRESQL_INSTANCE.gvk.kind,
    "spec": {"version": ">= 14", "masterUsername": "app", "requirements": {"region": "here"}},
}


def _make_landing_place(stage: Stage, source: str, place: str, template: Json) -> None:
    """Gives the class the profile by which the claim of this place asks, and the region that all ask for."""
    patch = {"profile": f"{place}-{stage.tag}", "capabilities": {"region": "here"}, "template": template}
    stage.env.api.merge_patch(RESOURCE_CLASS, SYSTEM, source, patch)


def _claim(stage: Stage, place: str) -> None:
    """The manifest as it is; name and class are all that an environment says."""
    body = {
        **CLAIM,
        "metadata": {"name": place, "namespace": stage.namespace},
        "spec": {**CLAIM["spec"], "resourceClass": f"{place}-{stage.tag}"},  # type: ignore[dict-item]
    }
    stage.env.api.create(POSTGRESQL_INSTANCE, stage.namespace, body)


@pytest.mark.parametrize("google", ["POSTGRES_16"], indirect=True)
def test_one_claim_lands_on_rds_cloud_sql_and_a_server_of_ones_own(
    stage: Stage, google: Google, server: SharedServer
) -> None:
    rds = stage.offer_class("rds", engine="postgres", version="16.3")
    places = {"aws": rds, "gcp": google.source, "own": server.class_name}
    for place, source in places.items():
        template: Json = {"spec": {"version": "18"}} if place == "own" else {}
        _make_landing_place(stage, source, place, template)
    for place in places:
        _claim(stage, place)

    bound = {place: _bound(stage, place) for place in places}
    assert {place: each["kind"] for place, each in bound.items()} == {
        "aws": "RDSInstance",
        "gcp": "CloudSQLInstance",
        "own": "SQLDatabase",
    }
    secrets = {place: stage.secret(place) for place in places}
    for place, secret in secrets.items():
        assert secret["type"] == "postgresql", place
        assert secret.keys() >= {"provider", "host", "port", "username", "password", "database", "uri"}, place
    assert len({secret["provider"] for secret in secrets.values()}) == len(places)
    assert len({secret["password"] for secret in secrets.values()}) == len(places)


def _bound(stage: Stage, place: str, kind: ResourceType = POSTGRESQL_INSTANCE) -> Json:
    claim = stage.wait_ready(place, kind=kind)
    found: Json = claim["status"]["boundResource"]
    return found

"""Models judge a template as the API server would, before an object is made from it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from conductor_model.claims import Requirements
from conductor_model.concrete import Capabilities, ClaimRef
from conductor_model.kinds import BY_GROUP_KIND, KINDS, RDS_INSTANCE, WATCHED_KINDS
from conductor_model.rds import RDSInstanceSpec


@pytest.mark.parametrize("model", [Requirements, Capabilities])
@pytest.mark.parametrize(
    ("capacity", "told"),
    [
        ({"storage": "-1Gi"}, "storage: -1Gi must not be negative"),
        ({"storage": "lots"}, "'lots' is not a quantity"),
        ({"st orage": "1Gi"}, "names of capacities are up to 63 letters"),
        ({f"c{n}": 1 for n in range(17)}, "at most 16 items"),
    ],
)
def test_capacity_that_makes_no_sense_is_refused(
    model: type[Requirements | Capabilities], capacity: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        model.model_validate({"capacity": capacity})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("engine", "oracle"),
        ("version", "banana"),
        ("version", True),
        ("instance-type", "m4.xlarge"),
        ("maxClaims", 0),
        ("masterUsername", "drop table"),
        ("rebindPolicy", "Recycle"),
    ],
)
def test_template_s_spec_that_makes_no_sense_is_refused_by_its_field(field: str, value: object) -> None:
    spec = {"engine": "mysql", "instance-type": "db.m4.xlarge", field: value}
    with pytest.raises(ValidationError) as caught:
        RDSInstanceSpec.model_validate(spec)
    assert [error["loc"][0] for error in caught.value.errors()] == [field]


def test_fields_of_a_newer_version_are_ignored() -> None:
    spec = RDSInstanceSpec.model_validate(
        {"engine": "mysql", "instance-type": "db.m4.xlarge", "invented": "later"}
    )
    assert spec.instance_type == "db.m4.xlarge"


def test_claim_ref_is_bound_only_with_a_uid_and_until_it_is_released() -> None:
    place = {"kind": "MySQLInstance", "namespace": "wordpress", "name": "db"}
    assert not ClaimRef.model_validate(place).bound
    assert ClaimRef.model_validate({**place, "uid": "u"}).bound
    assert not ClaimRef.model_validate({**place, "uid": "u", "releasedAt": "2026-11-21T12:00:00Z"}).bound


def test_kinds_are_found_by_their_group_and_kind() -> None:
    assert BY_GROUP_KIND[RDS_INSTANCE.group_kind].type == RDS_INSTANCE
    assert len(BY_GROUP_KIND) == len(WATCHED_KINDS) == len(KINDS)

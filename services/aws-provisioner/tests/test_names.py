"""Tags are functions of the owner, and AWS accepts them."""

from __future__ import annotations

import pytest

from conductor_aws_provisioner.names import MAX_TAG_VALUE, ownership_of, tags_of
from conductor_provisioner import Owner, Ownership

OWNER = Owner("cluster", "uid", "ns", "name")


def test_a_users_tags_cannot_take_the_place_of_ours() -> None:
    owner = OWNER
    forged = dict.fromkeys(owner.tags, "forged") | {"conductor.io/vpc": "forged", "team": "billing"}

    tags = tags_of(owner, vpc="vpc-1", wanted=forged)

    assert owner.owns(tags)
    assert tags["conductor.io/vpc"] == "vpc-1"
    assert tags["team"] == "billing"


def test_the_longest_name_of_an_object_fits_into_a_tag() -> None:
    tags = tags_of(Owner("cluster", "uid", "n" * 63, "o" * 253), vpc=None, wanted={})

    assert max(map(len, tags.values())) == MAX_TAG_VALUE


@pytest.mark.parametrize(
    ("tags", "whose"),
    [
        (OWNER.tags, Ownership.OURS),
        ({}, Ownership.NOBODYS),
        ({"team": "billing"}, Ownership.NOBODYS),
        ({"conductor.io/cluster-id": "cluster"}, Ownership.ANOTHERS),
        ({"conductor.io/cluster-id": "another", "conductor.io/concrete-uid": "uid"}, Ownership.ANOTHERS),
        ({"conductor.io/cluster-id": "cluster", "conductor.io/concrete-uid": "another"}, Ownership.ANOTHERS),
    ],
)
def test_only_both_ids_together_make_an_instance_ours(tags: dict[str, str], whose: Ownership) -> None:
    assert ownership_of(OWNER, tags) is whose

"""Names are functions of the owner, and clouds and Kubernetes accept them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from conductor_provisioner import Owner
from conductor_provisioner.names import MAX_OBJECT_NAME, credentials_secret_name, external_name

object_names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", fullmatch=True)


@given(st.uuids(), st.uuids(), object_names)
def test_an_external_name_is_a_valid_identifier_and_says_nothing_of_names(
    cluster: object, uid: object, name: str
) -> None:
    owner = Owner(str(cluster), str(uid), "ns", name)

    assert re.fullmatch(r"[a-z](?!.*--)[a-z0-9-]{0,62}(?<!-)", external_name(owner))
    assert external_name(owner) == external_name(Owner(str(cluster), str(uid), "elsewhere", "renamed"))


@given(st.lists(st.tuples(st.uuids(), st.uuids()), unique=True, min_size=2, max_size=20))
def test_different_owners_have_different_external_names(owners: list[tuple[object, object]]) -> None:
    names = {external_name(Owner(str(cluster), str(uid), "ns", "name")) for cluster, uid in owners}

    assert len(names) == len(owners)


def test_the_external_name_never_changes_between_releases() -> None:
    """A release that computed another one would create every database a second time."""
    assert external_name(Owner("cluster", "uid", "ns", "name")) == "conductor-e6cfdbfe088ae0fa4ffedecb"


@given(object_names)
def test_the_secrets_name_is_valid_and_its_owns(name: str) -> None:
    secret = credentials_secret_name(name)

    assert len(secret) <= MAX_OBJECT_NAME
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", secret)


def test_long_names_that_differ_only_at_their_end_have_different_secrets() -> None:
    long = "a" * 252

    assert credentials_secret_name(f"{long}x") != credentials_secret_name(f"{long}y")
    assert credentials_secret_name("orders") == "orders-credentials"

"""Labels say whose an instance is, in the letters that Google allows."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_gcp_provisioner.labels import CLUSTER_LABEL, label_value, owner_labels, ownership
from conductor_provisioner.driver import Owner, Ownership

owners = st.builds(
    Owner, st.text(max_size=80), st.uuids().map(str), st.text(max_size=80), st.text(max_size=80)
)


@settings(deadline=None)
@given(owners)
def test_labels_are_what_google_takes(owner: Owner) -> None:
    for key, value in owner_labels(owner).items():
        assert re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key)
        assert re.fullmatch(r"[a-z0-9_-]{0,63}", value)


@settings(deadline=None)
@given(owners, owners)
def test_an_instance_is_its_owner_s_and_nobody_else_s(owner: Owner, other: Owner) -> None:
    assert ownership(owner, owner_labels(owner)) is Ownership.OURS
    same = (owner.cluster_id, owner.uid) == (other.cluster_id, other.uid)
    assert ownership(owner, owner_labels(other)) is (Ownership.OURS if same else Ownership.ANOTHERS)


@settings(deadline=None)
@given(owners)
def test_an_instance_without_proof_is_nobody_s_and_with_half_of_it_another_s(owner: Owner) -> None:
    labels = {"team": "web", "conductor-concrete": "conductor-system_db"}
    assert ownership(owner, labels) is Ownership.NOBODYS
    half = {**labels, CLUSTER_LABEL: owner_labels(owner)[CLUSTER_LABEL]}
    assert ownership(owner, half) is Ownership.ANOTHERS


def test_an_id_that_fits_is_its_own_label() -> None:
    uid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    assert label_value(uid) == uid
    assert label_value("Production EU") != label_value("production eu")

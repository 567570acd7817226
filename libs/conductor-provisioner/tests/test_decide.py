"""Whatever is found, under whatever policies: what is never done, and what is always said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor_model.annotations import EXTERNAL_NAME
from conductor_model.concrete import Concrete, ManagementPolicy
from conductor_provisioner import CredentialsFrom, Drift, Observation, Owner, Ownership, Resource
from conductor_provisioner.decide import Ending, Step, Traits, decide, decide_deletion
from conductor_provisioner.pacing import Look, PollIntervals, seconds_until

NAME = "conductor-1"
DRIFT = Drift("size", "80", "50")
FIXED = Drift("shape", "round", "square", repairable=False)

observations = st.builds(
    Observation,
    exists=st.booleans(),
    ownership=st.sampled_from(Ownership),
    leftovers=st.booleans(),
    busy=st.booleans(),
    failed=st.booleans(),
    ready=st.booleans(),
    drift=st.sampled_from([(), (DRIFT,), (FIXED,), (DRIFT, FIXED)]),
    credentials_applied=st.booleans(),
)
policies = st.sets(st.sampled_from(ManagementPolicy), min_size=1).map(sorted)
traits = st.builds(Traits, credentials_from=st.sampled_from(CredentialsFrom), recreates=st.booleans())
statuses = st.sampled_from(
    [{}, {"provisionedAt": "2026-11-21T00:00:00Z"}, {"endpoint": {"host": "x", "port": 1}}]
)


def concrete(*, given_name: bool = False, status: Any = None, **spec: Any) -> Concrete:
    return Concrete.model_validate(
        {
            "apiVersion": "boxes.example.org/v1alpha1",
            "kind": "Box",
            "metadata": {
                "name": "orders",
                "namespace": "team-a",
                "uid": "uid",
                "generation": 1,
                "annotations": {EXTERNAL_NAME: NAME} if given_name else {},
            },
            "spec": spec,
            "status": status or {},
        }
    )


def resource(about: Concrete, rotation: str | None = None) -> Resource[Any, Any]:
    return Resource(
        external_name=NAME,
        owner=Owner("cluster", "uid", "team-a", "orders"),
        spec=about.spec,
        status=about.status,
        rotation=rotation,
    )


@given(observations, policies, traits, statuses, st.booleans(), st.none() | st.just("now"))
def test_nothing_is_done_that_may_not_be_or_would_be_in_vain(
    observed: Observation[Any],
    allowed: list[str],
    of: Traits,
    status: Any,
    given_name: bool,
    rotation: str | None,
) -> None:
    about = concrete(managementPolicies=allowed, status=status, given_name=given_name)

    plan = decide(about, resource(about, rotation), of, observed)

    if plan.step is Step.CREATE:
        assert not observed.exists
        assert not observed.busy
        assert about.spec.allows(ManagementPolicy.CREATE)
        assert of.recreates or not status
    if plan.step is Step.UPDATE:
        assert observed.exists
        assert not observed.busy
        assert about.spec.allows(ManagementPolicy.UPDATE)
        assert FIXED not in observed.drift
        assert observed.ownership is Ownership.OURS or (
            observed.ownership is Ownership.NOBODYS and given_name
        )
    if plan.step is Step.NOTHING and plan.synced.ok and observed.exists and not observed.busy:
        assert observed.drift == (), "what differs is repaired or told"
    if not plan.synced.ok:
        assert plan.synced.message


@given(observations, st.booleans())
def test_only_what_is_there_and_ours_is_deleted(observed: Observation[Any], create_under_way: bool) -> None:
    ending = decide_deletion(resource(concrete()), observed, create_under_way=create_under_way)

    if ending is Ending.DELETE:
        assert not observed.busy
        assert (observed.exists and observed.ownership is Ownership.OURS) or observed.leftovers
        assert observed.exists or not create_under_way
    if ending is Ending.GONE:
        assert not observed.exists
        assert not observed.busy
        assert not create_under_way


@pytest.mark.parametrize(
    ("look", "annotation", "random", "seconds"),
    [
        (Look.SOON, None, 0.9, 10),
        (Look.LATER, None, 0.5, 600),
        (Look.LATER, None, 0.0, 540),
        (Look.LATER, "1h", 0.5, 3600),
        (Look.LATER, "1s", 0.5, 10),
        (Look.LATER, "soon", 0.5, 600),
        (Look.NEVER, None, 0.5, None),
        (30.0, None, 0.5, 30),
        (float("inf"), None, 0.5, 600),
    ],
)
def test_looks_are_spread_and_follow_the_objects_own_interval(
    look: Look | float, annotation: str | None, random: float, seconds: float | None
) -> None:
    about = concrete()
    annotations = {"conductor.io/poll-interval": annotation} if annotation else {}
    asked = about.model_copy(
        update={"metadata": about.metadata.model_copy(update={"annotations": annotations})}
    )

    assert seconds_until(look, asked, PollIntervals(), random) == seconds


def test_an_interval_that_cannot_be_read_is_told() -> None:
    about = concrete()
    annotations = {"conductor.io/poll-interval": "soon"}
    asked = about.model_copy(
        update={"metadata": about.metadata.model_copy(update={"annotations": annotations})}
    )
    there: Observation[Any] = Observation(exists=True, ready=True, credentials_applied=True)

    plan = decide(
        asked,
        resource(asked),
        Traits(credentials_from=CredentialsFrom.CONDUCTOR, recreates=False),
        there,
    )

    assert plan.synced.ok
    assert "'soon' is not a duration" in plan.synced.message

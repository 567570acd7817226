"""How the deletion of an object goes on, by what is found of its external resource."""

from __future__ import annotations

import pytest

from conductor_model.concrete import ConcreteSpec, ConcreteStatus
from conductor_provisioner.decide import Ending, decide_deletion
from conductor_provisioner.driver import NOT_THERE, Observation, Owner, Ownership, Resource

RESOURCE = Resource(
    external_name="box",
    owner=Owner("cluster", "uid", "play", "box"),
    spec=ConcreteSpec(),
    status=ConcreteStatus(),
)


@pytest.mark.parametrize(
    ("observed", "ending"),
    [
        (NOT_THERE, Ending.GONE),
        (Observation(exists=False, leftovers=True), Ending.DELETE),
        (Observation(exists=False, leftovers=True, busy=True), Ending.WAIT),
        (Observation(exists=False, busy=True), Ending.WAIT),
        (Observation(exists=True), Ending.DELETE),
        (Observation(exists=True, busy=True), Ending.WAIT),
        (Observation(exists=True, ownership=Ownership.ANOTHERS), Ending.NOT_OURS),
        (Observation(exists=True, ownership=Ownership.NOBODYS), Ending.NOT_OURS),
        (Observation(exists=True, ownership=Ownership.ANOTHERS, leftovers=True), Ending.DELETE),
    ],
)
def test_an_object_goes_when_nothing_of_it_is_left(observed: Observation[ConcreteStatus], ending: Ending):
    assert decide_deletion(RESOURCE, observed, create_under_way=False) is ending


@pytest.mark.parametrize(
    ("observed", "ending"),
    [
        (NOT_THERE, Ending.AWAIT_CREATE),
        (Observation(exists=False, leftovers=True), Ending.AWAIT_CREATE),
        (Observation(exists=False, leftovers=True, busy=True), Ending.WAIT),
        (Observation(exists=True), Ending.DELETE),
        (Observation(exists=True, ownership=Ownership.NOBODYS), Ending.NOT_OURS),
        (Observation(exists=True, ownership=Ownership.ANOTHERS, leftovers=True), Ending.AWAIT_CREATE),
    ],
)
def test_what_may_show_that_a_late_creation_is_ours_stays_until_none_can_come(
    observed: Observation[ConcreteStatus], ending: Ending
):
    assert decide_deletion(RESOURCE, observed, create_under_way=True) is ending

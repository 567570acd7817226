"""Killed before any call, or after it but before its answer: another process goes on, and nothing is left or doubled."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from conductor_provisioner.errors import Terminal, Transient
from conductor_sql_provisioner.state import MakeDatabase

if TYPE_CHECKING:
    from .conftest import SQLResource, Stage

pytestmark = pytest.mark.integration

MOST_CALLS = 40


@pytest.mark.parametrize("loses_answers", [False, True], ids=["before the call", "before its answer"])
async def test_a_creation_that_dies_anywhere_is_completed_by_another(
    stage: Stage, loses_answers: bool
) -> None:
    for allowed in range(MOST_CALLS):
        resource = stage.resource(connectionLimit=4)
        died = await stage.killed(stage.settle(resource), after=allowed, loses_answers=loses_answers)
        resource = await stage.settle(resource)
        assert stage.lets_in(resource)
        await stage.remove(resource)
        assert _left(stage, resource) == set()
        if not died:
            assert allowed > 5
            return
    raise AssertionError("it never ran to its end")


@pytest.mark.parametrize("policy", ["Drop", "Keep", "LockUser"])
@pytest.mark.parametrize("loses_answers", [False, True], ids=["before the call", "before its answer"])
async def test_a_deletion_that_dies_anywhere_is_completed_by_another(
    stage: Stage, loses_answers: bool, policy: str
) -> None:
    for allowed in range(MOST_CALLS):
        resource = await stage.settle(stage.resource(onDelete=policy))
        died = await stage.killed(stage.remove(resource), after=allowed, loses_answers=loses_answers)
        await stage.remove(resource)
        assert (_left(stage, resource) == set()) == (policy == "Drop")
        if not died:
            return
    raise AssertionError("it never ran to its end")


@pytest.mark.parametrize("dropped_before", [False, True], ids=["a creation", "a deletion"])
async def test_a_database_whose_making_was_under_way_when_the_object_went_is_taken_along(
    stage: Stage, dropped_before: bool
) -> None:
    resource = stage.resource()
    names = stage.driver._names(resource)
    if dropped_before:
        resource = await stage.settle(resource)
    else:
        await stage.killed(stage.driver.create(resource), after=4, loses_answers=False)
    observed = await stage.driver.observe(resource)
    if observed.exists:
        await stage.driver.delete(resource, observed)
    assert (await stage.driver.observe(resource)).leftovers

    with contextlib.suppress(Terminal, Transient):  # PostgreSQL's needs its role to be as it was
        await stage.driver._server.carry_out(MakeDatabase(None, None), names)

    await stage.remove(resource)
    assert _left(stage, resource) == set()


def _left(stage: Stage, resource: SQLResource) -> set[str]:
    """What still has the names of this resource."""
    digest = resource.external_name.rpartition("_")[2]
    return {each for each in stage.engine.databases() | stage.engine.users() if digest in each}

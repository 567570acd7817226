"""Killed before any call, or after it but before its answer: another process goes on, and nothing is left or doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
        died = await stage.killed(_delete(stage, resource), after=allowed, loses_answers=loses_answers)
        observed = await stage.driver.observe(resource)
        if observed.exists:
            await stage.driver.delete(resource, observed)
        assert not (await stage.driver.observe(resource)).exists
        assert (_left(stage, resource) == set()) == (policy == "Drop")
        if not died:
            return
    raise AssertionError("it never ran to its end")


async def _delete(stage: Stage, resource: SQLResource) -> None:
    await stage.driver.delete(resource, await stage.driver.observe(resource))


def _left(stage: Stage, resource: SQLResource) -> set[str]:
    """What still has the names of this resource."""
    digest = resource.external_name.rpartition("_")[2]
    return {each for each in stage.engine.databases() | stage.engine.users() if digest in each}

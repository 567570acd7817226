"""Whatever dies whenever, and whatever messages come late or twice: exactly one box, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from conductor_bus import Done, RequeueAfter
from conductor_provisioner.cluster import Overtaken
from conductor_provisioner.errors import ProviderError, Transient

CALLS_UNTIL_DEATH = st.one_of(st.none(), st.integers(1, 14))


def test_exactly_one_instance_whatever_dies_and_none_after_deletion(
    new_world: Callable[[], Any], build: Any, process_died: type[BaseException]
) -> None:
    class Provisioner(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.world = new_world()
            self.world.cluster.put(build(rebindPolicy="Delete", finalizer=False))
            self.deletions = 0

        def _handle(self, dies_after: int | None, message: Any, *, wake: bool) -> None:
            fate = self.world.fate
            fate.dies_at = None if dies_after is None else fate.steps + dies_after
            try:
                asyncio.run(self.world.woken(message) if wake else self.world.told(message))
            except ProviderError as error:
                assert error.retryable
            except process_died:
                self.world.restart()
            fate.dies_at = None

        @rule(dies_after=CALLS_UNTIL_DEATH, wake=st.booleans())
        def the_last_message_is_handled(self, dies_after: int | None, wake: bool) -> None:
            self._handle(dies_after, self.world.message(), wake=wake)

        @rule(data=st.data(), dies_after=CALLS_UNTIL_DEATH, wake=st.booleans())
        def an_old_message_is_handled(self, data: Any, dies_after: int | None, wake: bool) -> None:
            old = data.draw(st.sampled_from(self.world.cluster.told))
            self._handle(dies_after, self.world.message(old), wake=wake)

        @rule(wake=st.booleans())
        def a_process_dies_in_a_create_that_has_its_effect_later(self, wake: bool) -> None:
            self.world.cloud.dies_in_create = True
            self._handle(None, self.world.message(), wake=wake)
            self.world.cloud.dies_in_create = False

        @rule()
        def a_create_of_a_dead_process_has_its_effect(self) -> None:
            self.world.cloud.arrives()

        @rule()
        def the_cloud_goes_on(self) -> None:
            self.world.cloud.progress()

        @rule()
        def a_replica_is_restarted(self) -> None:
            self.world.restart()

        @precondition(lambda self: self.world.secrets)
        @rule(number=st.integers(0, 99))
        def the_password_is_rotated(self, number: int) -> None:
            self.world.rotate(f"rotated-{number}")

        @precondition(lambda self: not self.world.gone and not self.world.object.being_deleted)
        @rule(storage=st.integers(50, 60))
        def the_spec_changes(self, storage: int) -> None:
            grown = max(storage, self.world.object.spec.size)
            self.world.edit(size=grown)

        @precondition(lambda self: not self.world.gone)
        @rule()
        def a_user_deletes_it(self) -> None:
            self.world.delete()

        @invariant()
        def never_more_than_one_is_made(self) -> None:
            assert len(self.world.cloud.creates) <= 1

        @invariant()
        def nothing_outlives_the_object(self) -> None:
            if self.world.gone:
                assert self.world.cloud.things == {}
                assert self.world.secrets == {}

        @invariant()
        def what_is_ready_has_the_password_that_its_status_speaks_of(self) -> None:
            if self.world.gone or self.world.object.being_deleted:
                return
            instance = self.world.object
            if instance.status.credentials is None:
                return
            (stored,) = self.world.secrets.values()
            if stored.revision == instance.status.credentials.revision and self.world.cloud.passwords:
                assert list(self.world.cloud.passwords.values()) == [stored.data["password"]]

        def teardown(self) -> None:
            """Left alone, it comes to where its object wants it."""
            asyncio.run(self.world.comes_to_rest())
            self.nothing_outlives_the_object()
            if self.world.gone:
                return
            (instance,) = self.world.cloud.things.values()
            (stored,) = self.world.secrets.values()
            assert not self.world.object.being_deleted
            assert self.world.condition("Ready")[0] == "True"
            assert instance.size == self.world.object.spec.size
            assert self.world.cloud.passwords[instance.name] == stored.data["password"]

    run_state_machine_as_test(
        Provisioner,
        settings=settings(
            max_examples=150,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


async def test_every_single_crash_point_on_the_way_to_available(
    new_world: Callable[[], Any], build: Any, process_died: type[BaseException]
) -> None:
    """The same without chance: one death at each call of an undisturbed life, from creation to deletion."""

    async def live(world: Any, dies_at: int | None) -> None:
        world.cluster.put(build(rebindPolicy="Delete", finalizer=False))
        world.fate.dies_at = dies_at
        for step in (_rest, _delete_and_rest):
            try:
                await step(world)
            except process_died:
                world.restart()
                await step(world)
            if step is _rest:
                assert world.condition("Ready")[0] == "True"
                assert len(world.cloud.things) == 1

    async def _rest(world: Any) -> None:
        await world.comes_to_rest()

    async def _delete_and_rest(world: Any) -> None:
        world.delete()
        await world.comes_to_rest()

    undisturbed = new_world()
    await live(undisturbed, None)
    for call in range(1, undisturbed.fate.steps + 1):
        world = new_world()
        await live(world, call)
        assert len(world.cloud.creates) == 1
        assert world.gone
        assert world.cloud.things == {}
        assert world.secrets == {}


async def test_a_deletion_between_decision_and_create_is_still_cleaned_up(world: Any, build: Any) -> None:
    """The finalizer holds the object until whoever comes next has looked the instance up."""
    world.cluster.put(build(rebindPolicy="Delete"))
    observe = world.driver.observe

    async def deleted_meanwhile(resource: Any) -> Any:
        world.delete()
        return await observe(resource)

    world.driver.observe = deleted_meanwhile
    try:
        await world.told()
    except Overtaken:
        raise AssertionError("Overtaken is not for the work queue") from None
    world.driver.observe = observe
    await world.comes_to_rest()

    assert world.gone
    assert world.cloud.things == {}
    assert world.secrets == {}


async def test_a_create_that_a_dead_process_sent_is_waited_for_and_its_instance_deleted(
    world: Any, build: Any, process_died: type[BaseException]
) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    world.cloud.dies_in_create = True
    with pytest.raises(process_died):
        await world.told()
    world.restart()
    world.delete()

    assert await world.told() == RequeueAfter(10)

    status, reason, message = world.condition("Synced")
    assert (status, reason) == ("False", "WaitingForCalls")
    assert "until 2026-11-21T00:01:00Z" in message
    assert world.condition("Ready")[:2] == ("False", "Deleting")
    assert world.cluster.warnings == []
    world.cloud.arrives()
    await world.comes_to_rest()
    assert len(world.cloud.creates) == 1
    assert world.cloud.things == {}
    assert world.secrets == {}
    assert world.gone


@pytest.mark.parametrize("spec", [{}, {"credentialsSecretRef": {"name": "mine"}}])
async def test_a_create_that_never_has_its_effect_does_not_hold_the_object_for_ever(
    world: Any, build: Any, spec: Any
) -> None:
    mine = world.put_secret("mine", username="root", password="theirs")
    world.cluster.put(build(rebindPolicy="Delete", **spec))
    world.cloud.fails_next["create"] = Transient("create", "x", "ConnectTimeoutError", "no answer")
    with pytest.raises(Transient):
        await world.told()
    world.delete()

    assert [await world.woken() for _ in range(6)] == [RequeueAfter(10)] * 5 + [Done()]

    assert world.gone
    assert world.secrets == {"mine": mine}


async def test_where_no_create_was_tried_the_object_goes_at_once(world: Any, build: Any) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    world.delete()

    assert await world.told() == Done()

    assert world.gone


async def test_an_instance_that_somebody_tagged_as_theirs_meanwhile_survives_deletion(
    world: Any, build: Any
) -> None:
    world.cluster.put(build(rebindPolicy="Delete"))
    await world.comes_to_rest()
    (name,) = world.cloud.things
    world.delete()
    world.cloud.things[name] = replace(world.cloud.things[name], tags={})

    await world.comes_to_rest()

    assert name in world.cloud.things
    assert world.gone
    ((reason, note),) = world.cluster.warnings
    assert reason == "NotOwned"
    assert f"{name} lacks this object's ownership tags, so it is not deleted" in note

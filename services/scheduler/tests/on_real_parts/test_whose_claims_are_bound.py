"""A namespace's labels on the API server decide, through watcher and bus, whose claims are bound."""

from __future__ import annotations

import pytest

from conductor_kube.builtin import NAMESPACES

pytestmark = pytest.mark.integration

PRODUCTION = {"from": "Selector", "selector": {"matchLabels": {"tier": "production"}}}


@pytest.fixture
def label(world):
    def write(tier):
        world.api.merge_patch(NAMESPACES, None, world.namespace, {"metadata": {"labels": {"tier": tier}}})

    return write


async def test_a_claim_waits_until_its_namespace_carries_the_label(world, label):
    world.create_rds(allowedNamespaces=PRODUCTION)
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.waiting_claim(
            reason="NothingFits", message="1 not named here: is not for claims of namespace"
        )
        label("test")
        label("production")
        await world.bound_claim()


async def test_a_label_that_is_taken_away_takes_no_binding_with_it_and_gives_no_other(world, label):
    label("production")
    world.create_rds(maxClaims=2, allowedNamespaces=PRODUCTION)
    world.create_claim("first")
    async with world.watching(), world.scheduling() as scheduler:
        await world.bound_claim("first")
        label(None)
        await world.until(lambda: not scheduler.view.labels_of(world.namespace).get("tier"))
        world.create_claim("second", resourceName="rds")
        await world.waiting_claim("second", reason="ResourceNotFound", message="or is not for them")
        await world.settled(scheduler)
    assert world.claim("first")["status"]["phase"] == "Bound"


async def test_a_class_serves_the_namespaces_that_it_is_for(world, label):
    world.create_class()
    world.api.merge_patch(world.class_type, world.namespace, "rds", {"allowedNamespaces": PRODUCTION})
    world.create_claim()
    async with world.watching(), world.scheduling():
        await world.waiting_claim(reason="NothingFits", message="is not for claims of namespace")
        assert not world.all_rds()
        label("production")
        await world.bound_claim()
    (made,) = world.all_rds()
    assert made["spec"]["allowedNamespaces"] == PRODUCTION


async def test_where_namespaces_cannot_be_watched_that_is_said_and_the_rest_works(world):
    world.create_rds("by-label", allowedNamespaces=PRODUCTION)
    world.create_claim("chooser", requirements={"capacity": {"storage": "1Pi"}})
    world.create_rds("own", allowedNamespaces={"from": "Same"})
    world.create_claim("own", resourceName="own")
    kinds = [kind for kind in world.watched if kind != NAMESPACES]
    async with world.watching(kinds), world.scheduling():
        await world.waiting_claim("chooser", reason="NothingFits", message="are not known")
        await world.bound_claim("own")

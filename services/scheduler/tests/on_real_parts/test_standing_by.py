"""The whole service: it leads, loses its lease or its belief in it, stands by, leads again, and takes up another
configuration, without dying.
"""

from __future__ import annotations

import pytest

from conductor_kube import Leadership
from conductor_scheduler import __main__ as service
from conductor_scheduler import reload
from conductor_scheduler.reload import PolicyFile

pytestmark = pytest.mark.integration


async def test_a_scheduler_that_must_not_write_any_more_stands_by_and_leads_again(
    world, configured, monkeypatch
):
    still_leading, doubts = Leadership.still_leading, 0

    def doubting(leadership):
        nonlocal doubts
        doubts += 1
        return doubts > 1 and still_leading(leadership)

    world.create_rds()
    world.create_claim()
    async with world.watching():
        monkeypatch.setattr(Leadership, "still_leading", doubting)
        async with world.running(service.run(PolicyFile(None))) as process:
            await world.bound_claim()
            assert not process.done()
    assert doubts > 1


async def test_a_scheduler_whose_lease_was_taken_writes_nothing_until_it_leads_again(world, configured):
    world.create_claim("early")
    async with world.watching(), world.running(service.run(PolicyFile(None))) as process:
        await world.waiting_claim("early", reason="NothingOffered")
        world.steal_lease("thief")
        await world.until(lambda: world.lease_holder() != "thief")
        world.create_claim("late")
        await world.waiting_claim("late", reason="NothingOffered")
        assert not process.done()


async def test_a_mounted_configuration_that_changes_is_taken_up_by_the_process_that_runs(
    world, configured, tmp_path, monkeypatch
):
    """As the kubelet does it: a new folder, and one link that is swapped for another."""

    def publish(version, text):
        (tmp_path / version).mkdir()
        (tmp_path / version / "scheduler.yaml").write_text(
            "apiVersion: scheduler.conductor.io/v1alpha1\nkind: SchedulerConfiguration\n" + text
        )
        link = tmp_path / "..data_tmp"
        link.symlink_to(version)
        link.replace(tmp_path / "..data")

    publish("..1", "")
    mounted = tmp_path / "scheduler.yaml"
    mounted.symlink_to("..data/scheduler.yaml")
    monkeypatch.setattr(reload, "EVERY", 0.05)
    world.create_rds(capabilities={"region": "eu-west-1"})
    world.create_claim(requirements={"region": "europe"})
    async with world.watching(), world.running(service.run(PolicyFile(mounted))) as process:
        await world.waiting_claim(reason="NothingFits", message="region eu-west-1 is not in europe")
        publish("..2", "regions: {europe: eu-west-1}\n")  # no list: it is refused, and nothing changes
        publish("..3", "regions: {europe: [eu-west-1]}\n")
        await world.bound_claim()
        assert not process.done()

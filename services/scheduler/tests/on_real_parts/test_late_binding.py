"""One claim, several clouds: where it lands is decided when it is made, by what it asks for and what is offered."""

from __future__ import annotations

import pytest

from conductor_model.kinds import CLOUDSQL_INSTANCE, RDS_INSTANCE
from conductor_model.sqldatabase import SQL_DATABASE
from conductor_scheduler.config import SchedulerConfig

pytestmark = pytest.mark.integration

CONFIG = SchedulerConfig.model_validate(
    {
        "regions": {"north-america": ["us-west2", "us-east-1"]},
        "costScale": ["free-tier", "low", "medium", "high"],
    }
)
RDS = (RDS_INSTANCE, {"engine": "mysql", "version": "5.7", "instance-type": "db.m4.xlarge"})
CLOUDSQL = (
    CLOUDSQL_INSTANCE,
    {"databaseVersion": "MYSQL_5_7", "tier": "db-n1-standard-1", "region": "us-west2"},
)
SQL = (SQL_DATABASE, {"engine": "mysql", "version": "8.0"})


@pytest.fixture
def offer(world):
    """``offer(name, (kind, spec), **capabilities)``: a class of profile ``performance``."""

    def make(name, template, **capabilities):
        kind, spec = template
        return world.api.create(
            world.class_type,
            world.namespace,
            {
                "apiVersion": world.class_type.gvk.api_version,
                "kind": "ResourceClass",
                "metadata": {"name": name},
                "profile": "performance",
                "capabilities": {"capacity": {"storage": "50Gi"}, **capabilities},
                "template": {"apiVersion": kind.gvk.api_version, "kind": kind.gvk.kind, "spec": spec},
            },
        )

    return make


@pytest.fixture
async def lands(world):
    """The kind and the class that a claim lands on."""
    made = []

    async def land(name="db", **spec):
        world.create_claim(name, resourceClass="performance", **spec)
        bound = await world.bound_claim(name)
        resource = bound["status"]["boundResource"]
        made.append(next(kind for kind, _ in (RDS, CLOUDSQL, SQL) if kind.gvk.kind == resource["kind"]))
        named.append(resource["name"])
        return resource["kind"], bound["status"]["resourceClass"]

    named: list[str] = []
    yield land
    for kind, name in zip(made, named, strict=True):
        world.remove(kind, name)


async def test_the_region_that_is_asked_for_decides(world, offer, lands):
    offer("aws", RDS, region="us-east-1")
    offer("google", CLOUDSQL, region="us-west2")
    async with world.watching(), world.scheduling(config=CONFIG):
        assert await lands("east", requirements={"region": "us-east-1"}) == ("RDSInstance", "aws")
        assert await lands("west", requirements={"region": "us-west2"}) == ("CloudSQLInstance", "google")


async def test_where_both_would_do_the_cheaper_one_gets_it(world, offer, lands):
    offer("aws", RDS, region="us-east-1", cost="high")
    offer("google", CLOUDSQL, region="us-west2", cost="low")
    async with world.watching(), world.scheduling(config=CONFIG):
        wanted = {"region": "north-america", "cost": "high"}
        assert await lands("either", requirements=wanted) == ("CloudSQLInstance", "google")


async def test_a_version_that_one_cloud_has_decides(world, offer, lands):
    offer("aws", RDS)
    offer("google", CLOUDSQL)
    offer("own-server", SQL)
    async with world.watching(), world.scheduling(config=CONFIG):
        assert await lands("modern", version=">= 8.0") == ("SQLDatabase", "own-server")


async def test_what_is_offered_later_serves_the_claim_that_waited(world, offer, lands):
    offer("aws", RDS, region="us-east-1")
    world.create_claim("early", resourceClass="performance", requirements={"region": "europe"})
    async with world.watching(), world.scheduling(config=CONFIG):
        await world.waiting_claim(
            "early", reason="NothingFits", message="aws: region us-east-1 is not in europe"
        )
        offer("google", CLOUDSQL, region="europe")
        bound = await world.bound_claim("early")
    resource = bound["status"]["boundResource"]
    assert resource["kind"] == "CloudSQLInstance"
    world.remove(CLOUDSQL_INSTANCE, resource["name"])


async def test_the_claim_knows_nothing_of_any_cloud(world, offer, lands):
    """The same claim in the same words, under two administrators."""
    wanted = {
        "requirements": {"capacity": {"storage": "25Gi"}, "region": "north-america"},
        "version": ">= 5.6",
    }
    offer("google", CLOUDSQL, region="us-west2")
    async with world.watching(), world.scheduling(config=CONFIG) as scheduler:
        assert (await lands("first", **wanted))[0] == "CloudSQLInstance"
        world.api.delete(world.class_type, world.namespace, "google")
        await world.until(lambda: not scheduler.view.classes)
        offer("aws", RDS, region="us-east-1")
        assert (await lands("second", **wanted))[0] == "RDSInstance"

"""Four plain functions as a driver, and a chart from kinds."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_model import bucket, s3bucket
from conductor_model.concrete import ConcreteSpec, ConcreteStatus
from conductor_provisioner import (
    NOT_THERE,
    Account,
    Observation,
    Owner,
    Ownership,
    Refused,
    Resource,
    Transient,
)
from conductor_provisioner.chart import chart_files
from conductor_provisioner.plain import Plain, PlainDrivers
from conductor_provisioner.testing import DirectCalls


class Shelf(Plain[Any, Any]):
    def __init__(self) -> None:
        self.things: set[str] = set()
        self.raises: Exception | None = None

    def look(self, wanted: Any) -> Observation[Any]:
        if self.raises is not None:
            raise self.raises
        return Observation(exists=True, ready=True) if wanted.external_name in self.things else NOT_THERE

    def make(self, wanted: Any) -> None:
        self.things.add(wanted.external_name)

    def change(self, wanted: Any) -> None:
        self.make(wanted)

    def remove(self, wanted: Any) -> None:
        self.things.discard(wanted.external_name)


@pytest.fixture
def resource() -> Any:
    owner = Owner("cluster", "uid", "play", "thing")
    return Resource(external_name="thing", owner=owner, spec=ConcreteSpec(), status=ConcreteStatus())


async def test_each_of_its_functions_is_a_call_of_the_account(resource: Any) -> None:
    shelf, calls = Shelf(), DirectCalls()
    driver = await PlainDrivers(lambda _: shelf).open(Account(name="one", calls=calls))
    assert await driver.observe(resource) == NOT_THERE
    made = await driver.create(resource)
    assert made.ready
    await driver.update(resource, made)
    await driver.delete(resource, made)
    assert shelf.things == set()
    assert [action for action, _ in calls.made] == ["look", "make", "look", "change", "look", "remove"]


@pytest.mark.parametrize(
    ("raised", "seen"), [(OSError("disk"), Transient), (Refused("look", "x", "No", "not you"), Refused)]
)
async def test_what_it_raises_is_sorted(resource: Any, raised: Exception, seen: type[Exception]) -> None:
    shelf = Shelf()
    shelf.raises = raised
    driver = await PlainDrivers(lambda _: shelf).open(Account(name="one", calls=DirectCalls()))
    with pytest.raises(seen, match=r"disk|not you"):
        await driver.observe(resource)


async def test_it_is_opened_with_its_account() -> None:
    accounts: list[Account] = []

    def open(account: Account) -> Shelf:
        accounts.append(account)
        return Shelf()

    account = Account(name="one", calls=DirectCalls(), endpoint="http://shelf")
    await PlainDrivers(open).open(account)
    assert accounts == [account]


def test_a_mark_tells_whose_something_is() -> None:
    mine, other = Owner("cluster", "uid-1", "play", "a"), Owner("cluster", "uid-2", "play", "a")
    assert mine.whose(mine.mark) is Ownership.OURS
    assert mine.whose(other.mark) is Ownership.ANOTHERS
    assert mine.whose(None) is Ownership.NOBODYS


def test_the_credentials_secrets_are_in_the_rights_only_where_there_are_any() -> None:
    kinds = (bucket.KIND, s3bucket.KIND)
    for credentials in (False, True):
        rights = chart_files("own", "own", kinds, credentials=credentials)["templates/rights.yaml"]
        assert ("secrets" in rights.replace("secrets-writer", "")) is credentials


def test_a_chart_needs_a_concrete_kind() -> None:
    with pytest.raises(ValueError, match="concrete"):
        chart_files("own", "own", (bucket.KIND,))

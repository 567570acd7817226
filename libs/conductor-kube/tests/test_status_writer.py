"""A service writes its own part of a status, only when it changes, and only into the object that it means."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor_kube import Conflict, NotFound, StatusWriter
from conductor_kube.writer import says
from conductor_model.refs import ObjectKey

SCHEDULED = {"type": "Scheduled", "status": "True", "reason": "Fits"}
READY = {"type": "Ready", "status": "True", "reason": "Connected"}


@pytest.fixture
def apply(parcels: Any) -> Any:
    """Apply a status to the parcel ``p`` as a manager; what the API stored, or None if nothing was sent."""

    async def applied(
        uid: Any,
        status: Any,
        observed: Any,
        *,
        manager: Any = "us",
        client: Any = parcels.client,
        version: Any = None,
    ) -> Any:
        key = ObjectKey(parcels.type.group_kind, parcels.namespace, "p")
        answer = await StatusWriter(client, field_manager=manager).apply_status(
            parcels.type, key, uid, status, observed, resource_version=version
        )
        return None if answer is None else json.loads(answer)

    return applied


def identity(parcel: Any) -> Any:
    return parcel["metadata"]["uid"], parcel["metadata"]["resourceVersion"]


@pytest.mark.integration
async def test_a_status_that_says_so_already_is_not_written(
    parcels: Any, apply: Any, proxy: Any, proxied: Any
) -> None:
    uid, version = identity(await parcels.create("p"))
    status = {"phase": "Bound", "conditions": [SCHEDULED]}
    first = await apply(uid, status, None, client=proxied, version=version)
    assert first["status"] == status
    requests = len(proxy.requests)
    assert await apply(uid, status, first["status"], client=proxied) is None
    assert len(proxy.requests) == requests, "not even a request"
    assert await apply(uid, status, None, client=proxied) is None
    assert [seen.method for seen in proxy.requests[requests:]] == ["GET"]
    assert (await parcels.get("p"))["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.integration
async def test_the_common_case_is_one_request(parcels: Any, apply: Any, proxy: Any, proxied: Any) -> None:
    uid, version = identity(await parcels.create("p"))
    await apply(uid, {"phase": "Pending"}, {}, client=proxied, version=version)
    assert [seen.method for seen in proxy.requests] == ["PATCH"]


@pytest.mark.integration
async def test_two_services_keep_each_others_conditions(parcels: Any, apply: Any) -> None:
    uid, _ = identity(await parcels.create("p"))
    await apply(uid, {"phase": "Bound", "conditions": [SCHEDULED]}, {}, manager="scheduler")
    await apply(uid, {"conditions": [READY]}, {}, manager="writer")
    after = await apply(
        uid, {"phase": "Lost", "conditions": [{**SCHEDULED, "status": "False"}]}, {}, manager="scheduler"
    )
    assert after["status"]["phase"] == "Lost"
    assert sorted(after["status"]["conditions"], key=lambda each: each["type"]) == [
        READY,
        {**SCHEDULED, "status": "False"},
    ]


@pytest.mark.integration
async def test_a_version_that_is_behind_costs_a_read_and_loses_nothing(parcels: Any, apply: Any) -> None:
    uid, version = identity(await parcels.create("p"))
    await parcels.change("p", weight=3)
    after = await apply(uid, {"phase": "Bound"}, {}, version=version)
    assert (after["status"], after["spec"]) == ({"phase": "Bound"}, {"weight": 3})


@pytest.mark.integration
@pytest.mark.parametrize("knows_version", [True, False])
async def test_the_status_of_one_object_never_lands_in_the_next_of_its_name(
    parcels: Any, apply: Any, knows_version: Any
) -> None:
    uid, version = identity(await parcels.create("p"))
    await parcels.delete("p")
    with pytest.raises(NotFound):
        await apply(uid, {"phase": "Bound"}, {}, version=version if knows_version else None)
    await parcels.create("p")
    with pytest.raises(Conflict, match=uid):
        await apply(uid, {"phase": "Bound"}, {}, version=version if knows_version else None)
    assert "status" not in await parcels.get("p")


@pytest.mark.integration
async def test_what_a_service_no_longer_says_is_removed(parcels: Any, apply: Any) -> None:
    uid, _ = identity(await parcels.create("p"))
    first = await apply(uid, {"phase": "Bound", "place": {"host": "a"}, "conditions": [READY]}, {})
    await apply(uid, {"conditions": [SCHEDULED]}, {}, manager="them")
    second = await apply(uid, {"phase": "Bound", "place": None, "conditions": [READY]}, first["status"])
    assert "place" not in second["status"]
    assert {each["type"] for each in second["status"]["conditions"]} == {"Ready", "Scheduled"}
    assert (
        await apply(uid, {"phase": "Bound", "place": None, "conditions": [READY]}, second["status"]) is None
    )


@pytest.mark.integration
async def test_writers_that_meet_all_get_through(parcels: Any, apply: Any) -> None:
    uid, version = identity(await parcels.create("p"))
    names = ("A", "B", "C", "D")
    await asyncio.gather(
        *(
            apply(uid, {"conditions": [{"type": name, "status": "True"}]}, {}, manager=name, version=version)
            for name in names
        )
    )
    after = await parcels.get("p")
    assert {each["type"] for each in after["status"]["conditions"]} == set(names)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
statuses = st.dictionaries(st.sampled_from(["phase", "place", "a", "b"]), values, max_size=4)


@given(statuses, statuses)
def test_what_was_just_applied_is_said_whatever_others_say_beside_it(desired: Any, others: Any) -> None:
    assert says({**others, **desired}, desired)


@given(statuses, st.sampled_from(["phase", "place"]))
def test_a_field_with_another_value_is_not_said(observed: Any, name: Any) -> None:
    assert not says(observed, {name: [observed.get(name), "another"]})


@given(st.permutations([SCHEDULED, READY, {"type": "Bound", "status": "False"}]))
def test_the_order_of_conditions_says_nothing(order: Any) -> None:
    assert says({"conditions": order}, {"conditions": [READY, SCHEDULED]})
    assert not says({"conditions": order}, {"conditions": [{**READY, "status": "False"}]})
    assert not says({"conditions": order}, {"conditions": [{"type": "Synced", "status": "True"}]})


def test_a_field_that_must_be_absent_is_missed_only_where_it_is() -> None:
    assert says({"phase": "Bound"}, {"place": None})
    assert not says({"place": {"host": "a"}}, {"place": None})


def test_the_order_of_other_lists_matters() -> None:
    assert not says({"names": ["a", "b"]}, {"names": ["b", "a"]})
    assert says({"names": ["a", "b"]}, {"names": ("a", "b")})

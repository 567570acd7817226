"""Events reach people; recording them costs the recorder's owner nothing, whatever the API server does."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from aiohttp import web

from conductor_kube import EventRecorder
from conductor_kube.builtin import EVENTS
from conductor_model.meta import KubeObject

pytestmark = pytest.mark.integration


@pytest.fixture
async def parcel(parcels: Any) -> Any:
    return KubeObject.model_validate(await parcels.create("parcel"))


@pytest.fixture
def recorded(client: Any, namespace: Any) -> Any:
    """The Events of the test's namespace, as the API server has them."""

    async def read() -> Any:
        names = [item.key.name async for page in client.list(EVENTS, namespace) for item in page.items]
        return [json.loads(await client.get(EVENTS, namespace, name)) for name in names]

    return read


async def test_an_event_says_what_happened_to_what_and_who_says_so(
    client: Any, parcel: Any, recorded: Any
) -> None:
    recorder = EventRecorder(client, controller="conductor-tests")
    recorder.emit(regarding=parcel, type="Warning", reason="TooHeavy", note="25kg > 20kg", action="Weigh")
    await recorder.close()
    (event,) = await recorded()
    assert (event["type"], event["reason"], event["action"]) == ("Warning", "TooHeavy", "Weigh")
    assert event["note"] == "25kg > 20kg"
    assert event["reportingController"] == "conductor-tests"
    assert event["regarding"]["uid"] == parcel.uid
    assert event["regarding"]["kind"] == "Parcel"


async def test_the_same_is_told_once_until_it_is_quiet_for_long(
    client: Any, parcel: Any, recorded: Any
) -> None:
    now = 0.0
    recorder = EventRecorder(client, controller="conductor-tests", clock=lambda: now)
    how = {"regarding": parcel, "type": "Warning", "reason": "TooHeavy", "action": "Weigh"}
    for _ in range(5):
        recorder.emit(**how, note="25kg > 20kg")
    recorder.emit(**how, note="26kg > 20kg")
    now = 3600.0
    recorder.emit(**how, note="25kg > 20kg")
    await recorder.close()
    notes = sorted(event["note"] for event in await recorded())
    assert notes == ["25kg > 20kg", "25kg > 20kg", "26kg > 20kg"]


async def test_what_the_api_cannot_hold_is_shortened(client: Any, parcel: Any, recorded: Any) -> None:
    recorder = EventRecorder(client, controller="conductor-tests")
    recorder.emit(regarding=parcel, type="Normal", reason="R" * 200, note="ä" * 2000, action="A" * 200)
    long = parcel.model_copy(
        update={"metadata": parcel.metadata.model_copy(update={"name": "x" * 219 + "." + "y" * 33})}
    )
    recorder.emit(regarding=long, type="Normal", reason="Named", note="", action="Name")
    await recorder.close()
    shortened, named = sorted(await recorded(), key=lambda event: event["reason"] == "Named")
    assert shortened["note"].endswith("ä…")
    assert len(shortened["note"].encode()) <= 1024
    assert named["reason"] == "Named"
    assert recorder.dropped == 0


async def test_an_event_that_nobody_takes_is_dropped_and_counted(client: Any, parcel: Any) -> None:
    nowhere = parcel.metadata.model_copy(update={"namespace": "there-is-no-such-namespace"})
    recorder = EventRecorder(client, controller="conductor-tests")
    homeless = parcel.model_copy(update={"metadata": nowhere})
    recorder.emit(regarding=homeless, type="Normal", reason="Lost", note="", action="Find")
    recorder.emit(regarding=parcel, type="Normal", reason="Found", note="", action="Find")
    await recorder.close()
    assert recorder.dropped == 1


async def test_a_server_that_does_not_answer_costs_its_user_no_time_and_no_memory(
    proxied: Any, proxy: Any, parcel: Any
) -> None:
    proxy.stall()
    recorder = EventRecorder(proxied, controller="conductor-tests")
    began = time.monotonic()
    for number in range(1500):
        recorder.emit(regarding=parcel, type="Normal", reason="Busy", note=str(number), action="Work")
    assert recorder.dropped >= 500
    await recorder.close(seconds=0.2)
    assert time.monotonic() - began < 10, "close waits for so long and no longer"


async def test_an_event_survives_a_server_that_fails_for_a_moment(
    proxied: Any, proxy: Any, parcel: Any, recorded: Any
) -> None:
    proxy.answer = lambda _: web.Response(status=503) if len(proxy.requests) < 3 else None
    recorder = EventRecorder(proxied, controller="conductor-tests")
    recorder.emit(regarding=parcel, type="Normal", reason="Once", note="", action="Try")
    await recorder.close(seconds=20)
    assert [event["reason"] for event in await recorded()] == ["Once"]

"""Which messages follow from what the API holds and what the stream holds, and in which trace they belong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor_bus import Published
from conductor_model.annotations import TRACEPARENT
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import GroupKind, ObjectKey, ResourceType
from conductor_telemetry import claim_root_context, claim_trace_id, traceparent_of
from conductor_watcher.decide import (
    Absent,
    Episode,
    News,
    OnTheWay,
    Present,
    buried,
    claim_namespace,
    foreign,
    is_news,
    overtaken,
    public_form,
    trace_of,
)

CLAIM = MYSQL_INSTANCE.group_kind
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
UID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff"
OTHER_UID = "aaaaaaaa-4b5a-4978-8695-a4b3c2d1e0ff"
FOREIGN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

keys = st.builds(
    ObjectKey,
    st.sampled_from([CLAIM, RDS_INSTANCE.group_kind]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", "y", "z"]),
)
uids = st.sampled_from(["u1", "u2"])
versions = st.integers(1, 5).map(str)
held = st.builds(Published, uids, versions, st.integers(1, 99), st.booleans())
streams = st.dictionaries(keys, held)
worlds = st.dictionaries(keys, st.tuples(uids, versions))


def apply(news: News, stream: dict[ObjectKey, Published]) -> None:
    """What the stream holds after a publication."""
    gone = isinstance(news, Absent)
    stream[news.key] = Published(news.uid, news.resource_version, 100, gone)


def shown(stream: dict[ObjectKey, Published]) -> dict[ObjectKey, tuple[str, str]]:
    return {key: (each.uid, each.resource_version) for key, each in stream.items() if not each.deleted}


def sync(world: dict[ObjectKey, tuple[str, str]], stream: dict[ObjectKey, Published]) -> list[News]:
    """All that a complete list of each kind leads to."""
    told: list[News] = [Present(key, uid, version, b"{}") for key, (uid, version) in world.items()]
    for kind in {key.group_kind for key in [*world, *stream]}:
        told += buried(kind, None, [key for key in world if key.group_kind == kind], stream)
    return [news for news in told if is_news(news, stream.get(news.key))]


@given(worlds, streams)
def test_after_a_sync_the_stream_shows_what_the_api_holds(
    world: dict[ObjectKey, tuple[str, str]], stream: dict[ObjectKey, Published]
) -> None:
    for news in sync(world, stream):
        apply(news, stream)
    assert shown(stream) == world
    assert sync(world, stream) == [], "and there is nothing more to say"


@given(worlds, streams)
def test_what_the_stream_shows_already_is_not_said_again(
    world: dict[ObjectKey, tuple[str, str]], stream: dict[ObjectKey, Published]
) -> None:
    unchanged = {key for key, seen in shown(stream).items() if world.get(key) == seen}
    assert not unchanged & {news.key for news in sync(world, stream)}


@given(streams, st.sampled_from(["a", "b"]))
def test_a_list_of_one_namespace_buries_nothing_in_another(
    stream: dict[ObjectKey, Published], namespace: str
) -> None:
    assert all(absent.key.namespace == namespace for absent in buried(CLAIM, namespace, [], stream))
    assert all(absent.key.group_kind == CLAIM for absent in buried(CLAIM, None, [], stream))


@given(keys, held, uids)
def test_the_end_of_one_object_does_not_bury_the_next_of_its_name(
    key: ObjectKey, published: Published, uid: str
) -> None:
    buries = is_news(Absent(key, uid, "9"), published)
    assert buries == (published.uid == uid and not published.deleted)


@given(streams, streams, st.frozensets(keys))
def test_only_a_later_message_that_nobody_here_is_sending_is_anothers(
    stream: dict[ObjectKey, Published], known: dict[ObjectKey, Published], busy: frozenset[ObjectKey]
) -> None:
    def another_wrote(key: ObjectKey) -> bool:
        return key not in known or known[key].sequence < stream[key].sequence

    theirs = {key for key in stream.keys() - busy if another_wrote(key)}
    found = foreign(stream, known, busy)
    assert (found in theirs) if theirs else (found is None)
    assert foreign(stream, stream, ()) is None


@pytest.mark.parametrize(
    ("news", "present", "late"),
    [
        (("present", "u1", "7"), ("u1", "9", False), True),
        (("present", "u1", "9"), ("u1", "9", False), True),
        (("present", "u1", "10"), ("u1", "9", False), False),
        (("present", "u1", "7"), ("u1", "9", True), True),
        (("present", "u2", "10"), ("u1", "9", True), False),
        (("absent", "u1", "10"), ("u1", "9", False), False),
        (("absent", "u1", ""), ("u1", "9", False), False),
        (("absent", "u1", "10"), ("u1", "10", True), True),
        (("absent", "u1", "10"), ("u2", "12", False), True),
        (("absent", "u1", ""), ("u2", "12", False), True),
    ],
)
def test_what_another_watcher_knows_better_is_left_alone(
    news: tuple[str, str, str], present: tuple[str, str, bool], late: bool
) -> None:
    key = ObjectKey(CLAIM, "a", "x")
    kind, uid, version = news
    ours = Present(key, uid, version, b"{}") if kind == "present" else Absent(key, uid, version)
    assert overtaken(ours, Published(present[0], present[1], 5, present[2])) is late


def present(type: ResourceType = MYSQL_INSTANCE, uid: str = UID, **fields: Any) -> Present:
    metadata = {"name": "x", "namespace": "a", "uid": uid, **fields.pop("metadata", {})}
    whole = {
        "apiVersion": type.gvk.api_version,
        "kind": type.gvk.kind,
        "metadata": metadata,
        **fields,
    }
    return Present(ObjectKey(type.group_kind, "a", "x"), uid, "1", json.dumps(whole).encode())


def conditions(ready: str, since: datetime) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": "R", "lastTransitionTime": since.isoformat()}
    return {"conditions": [condition]}


def root_of(uid: str) -> str:
    return traceparent_of(claim_root_context(uid)) or ""


def test_the_first_sight_of_a_claim_records_the_root_of_its_trace() -> None:
    assert trace_of(present(), NOW) == OnTheWay(root_of(UID), root_of=UID)
    assert f"{claim_trace_id(UID):032x}" in root_of(UID)


def test_a_claim_that_somebody_has_worked_on_is_below_the_same_root() -> None:
    assert trace_of(present(status=conditions("False", NOW)), NOW) == OnTheWay(root_of(UID))


def test_the_trace_that_a_claims_author_gives_is_linked_and_not_adopted() -> None:
    given_by_author = present(metadata={"annotations": {TRACEPARENT: FOREIGN}})
    assert trace_of(given_by_author, NOW) == OnTheWay(root_of(UID), root_of=UID, caller=FOREIGN)


def test_a_concrete_is_in_the_trace_of_the_claim_that_it_is_bound_to() -> None:
    refs = {"claimRefs": [{"uid": OTHER_UID, "releasedAt": NOW.isoformat()}, {"uid": UID}]}
    assert trace_of(present(RDS_INSTANCE, OTHER_UID, spec=refs), NOW) == OnTheWay(root_of(UID))


def test_a_concrete_goes_on_below_the_span_that_the_scheduler_left_on_it() -> None:
    below = f"00-{claim_trace_id(UID):032x}-b7ad6b7169203331-01"
    bound = {"claimRefs": [{"uid": UID}]}
    ours = present(RDS_INSTANCE, OTHER_UID, spec=bound, metadata={"annotations": {TRACEPARENT: below}})
    assert trace_of(ours, NOW) == OnTheWay(below)
    foreign = present(RDS_INSTANCE, OTHER_UID, spec=bound, metadata={"annotations": {TRACEPARENT: FOREIGN}})
    assert trace_of(foreign, NOW) == OnTheWay(root_of(UID))


@pytest.mark.parametrize("since", [timedelta(minutes=2), timedelta(days=30)])
def test_what_happens_long_after_a_claim_is_ready_is_an_episode_of_its_own(since: timedelta) -> None:
    assert trace_of(present(status=conditions("True", NOW - since)), NOW) == Episode(root_of(UID))


def test_the_last_steps_of_becoming_ready_are_still_on_the_way() -> None:
    just_now = present(status=conditions("True", NOW - timedelta(seconds=5)))
    assert trace_of(just_now, NOW) == OnTheWay(root_of(UID))


def test_a_deletion_is_an_episode_that_links_to_the_claims_trace() -> None:
    going = present(metadata={"deletionTimestamp": NOW.isoformat()})
    assert trace_of(going, NOW) == Episode(root_of(UID))
    assert trace_of(Absent(ObjectKey(CLAIM, "a", "x"), UID), NOW) == Episode(None)


@pytest.mark.parametrize(
    "stranger",
    [
        present(RESOURCE_CLASS),
        present(RDS_INSTANCE),
        present(uid="not-a-uuid"),
        present(metadata={"annotations": "nonsense"}),
        present(RDS_INSTANCE, spec={"claimRefs": "nonsense"}),
        present(status={"conditions": [{"nonsense": 1}]}),
        Present(ObjectKey(CLAIM, "a", "x"), UID, "1", b"\xff"),
    ],
)
def test_what_belongs_to_no_claim_or_cannot_be_read_has_a_trace_of_its_own(stranger: Present) -> None:
    assert trace_of(stranger, NOW) == Episode(None)


def test_of_a_namespace_no_more_than_its_labels_goes_on_the_bus():
    key = ObjectKey(GroupKind("", "Namespace"), "", "team-a")
    raw = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": "team-a",
                "uid": "1",
                "resourceVersion": "7",
                "labels": {"tier": "production"},
                "annotations": {"billing.example.com/contract": "4711"},
            },
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }
    ).encode()
    assert json.loads(public_form(key, raw)) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "team-a",
            "uid": "1",
            "resourceVersion": "7",
            "labels": {"tier": "production"},
        },
    }


def test_an_object_of_ours_goes_on_the_bus_as_it_is():
    key = ObjectKey(GroupKind("storage.conductor.io", "MySQLInstance"), "team-a", "db")
    assert public_form(key, b'{"spec": {}}') == b'{"spec": {}}'


def test_a_namespace_that_is_gone_is_buried_by_a_list_of_just_that_name():
    kind = GroupKind("", "Namespace")
    held = {ObjectKey(kind, "", name): Published(name, "1", 1, deleted=False) for name in ("mine", "other")}
    assert buried(kind, "mine", (), held) == [Absent(ObjectKey(kind, "", "mine"), "mine")]


def test_a_resource_is_the_work_of_the_namespace_whose_claim_it_is_for() -> None:
    resource = ObjectKey(RDS_INSTANCE.group_kind, "conductor-system", "db")
    refs = [{"kind": "MySQLInstance", "namespace": "team-a", "name": "x"}]
    assert claim_namespace(resource, json.dumps({"spec": {"claimRefs": refs}}).encode()) == "team-a"
    for spec in ({}, {"claimRefs": []}):
        assert claim_namespace(resource, json.dumps({"spec": spec}).encode()) is None
    assert claim_namespace(ObjectKey(CLAIM, "team-a", "x"), b"{}") is None

"""What is nested too deeply to be parsed is cut, and nothing else of it is lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conductor_kube.nesting import CUT, DEEPEST, shallow
from conductor_kube.objects import Upserted, parse_page, parse_watch_line
from conductor_model.kinds import MYSQL_INSTANCE
from conductor_model.meta import KubeObject

TOLD = json.loads(CUT)


def nested(levels: int, inside: str = '"x"') -> str:
    return "[" * levels + inside + "]" * levels


def claim(levels: int) -> str:
    names = '"apiVersion":"storage.conductor.io/v1alpha1","kind":"MySQLInstance"'
    metadata = (
        '"metadata":{"name":"db","namespace":"team","uid":"u","resourceVersion":"7","managedFields":[]}'
    )
    return f'{{{names},{metadata},"spec":{{"requirements":{{"deep":{nested(levels)},"cost":"low"}}}}}}'


UNHURRIED = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
values = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@UNHURRIED
@given(values, st.integers(0, 3))
def test_what_is_shallow_stays_as_it_is(value: object, indent: int):
    written = json.dumps([value, *[[]] * 200], indent=indent).encode()
    assert shallow(written) == written


@UNHURRIED
@given(values, st.integers(DEEPEST, 5000))
def test_what_stands_beside_something_deep_is_kept(value: object, levels: int):
    written = f'{{"before":{json.dumps(value)},"deep":{nested(levels * 2)},"after":{json.dumps(value)}}}'
    read = json.loads(shallow(written.encode()))
    assert read["before"] == read["after"] == value
    inner = read["deep"]
    for _ in range(DEEPEST - 1):
        [inner] = inner
    assert inner == TOLD


def test_brackets_in_texts_do_not_count():
    written = json.dumps({"a": '{"[\\' * 1000, "b": ["]}"] * 300}).encode()
    assert shallow(written) == written


@pytest.mark.parametrize("levels", [150, 300, 900, 1000, 5000])
def test_an_object_that_is_nested_deeply_is_listed_and_watched_like_any_other(levels: int):
    line = f'{{"type":"ADDED","object":{claim(levels)}}}'.encode()
    page = f'{{"metadata":{{"resourceVersion":"9"}},"items":[{claim(1)},{claim(levels)}]}}'.encode()
    event = parse_watch_line(MYSQL_INSTANCE, line, what="a watch")
    _, item = parse_page(MYSQL_INSTANCE, page, what="a list").items
    assert isinstance(event, Upserted)
    for found in (event.object, item):
        assert (found.key.name, found.uid, found.resource_version) == ("db", "u", "7")
        assert KubeObject.model_validate_json(found.raw).metadata.name == "db"
        assert json.loads(found.raw)["spec"]["requirements"]["cost"] == "low"

"""Names and passwords are data, whatever they look like."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conductor_sql_provisioner import mysql_steps
from conductor_sql_provisioner.names import unusable

if TYPE_CHECKING:
    from .conftest import Stage

HOSTILE = [
    'x"; DROP DATABASE postgres; --',
    "x'; DROP TABLE t; --",
    "x`; DROP DATABASE mysql; --",
    "100%s of %(name)s {0}",
    "back\\slash\\",
    "ünïcödé 数据库 \U0001f418",
    "tab\tand\nnewline",
    "under_score%percent",
    "-- comment",
    "$$dollar$$",
    "..",
]


@pytest.mark.integration
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_database_can_have_any_name_and_no_other_is_touched(stage: Stage, name: str) -> None:
    name = f"{name}{secrets.token_hex(3)}"
    if stage.engine.kind == "mysql":
        name = name.replace("\U0001f418", "")  # beyond the basic plane; MySQL has no such names
    before = stage.engine.databases()
    resource = await stage.settle(stage.resource(external_name=name))
    assert stage.engine.databases() - before - {"conductor_registry"} == {name}
    with stage.opened(resource) as connection:
        stage.engine.read(connection, "CREATE TABLE t (a INT)")
    await stage.remove(resource)
    assert stage.engine.databases() - {"conductor_registry"} == before - {"conductor_registry"}


@pytest.mark.integration
@pytest.mark.parametrize("password", ["'; DROP ROLE x; --", "%s%%", "\\", '"', "ü 🐘", "a b"])
async def test_a_password_can_be_any_text(stage: Stage, password: str) -> None:
    stage.driver._new_password = lambda: password
    resource = await stage.settle(stage.resource())
    assert resource.credentials is not None and resource.credentials["password"] == password
    assert stage.lets_in(resource)


@given(st.text(max_size=70))
def test_a_mysql_name_in_quotes_ends_where_its_quotes_end(name: str) -> None:
    quoted = mysql_steps.identifier(name)
    assert quoted[0] == quoted[-1] == "`"
    assert quoted[1:-1].replace("``", "") == name.replace("`", "")
    assert quoted[1:-1].count("`") == 2 * name.count("`")


@given(st.text(alphabet="a_%\\b`", max_size=20))
def test_in_a_grant_no_character_of_a_name_stands_for_others(name: str) -> None:
    inner = mysql_steps.pattern(name, wildcards=True)[1:-1].replace("``", "`")
    read, escaped = [], False
    for character in inner:
        if not escaped and character == "\\":
            escaped = True
            continue
        assert escaped or character not in "_%"
        read.append(character)
        escaped = False
    assert "".join(read) == name


@given(st.text(max_size=70))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_a_server_would_cut_off_or_not_take_is_refused(name: str) -> None:
    if unusable(name) is None:
        assert 0 < len(name.encode()) <= 63
        assert "\0" not in name

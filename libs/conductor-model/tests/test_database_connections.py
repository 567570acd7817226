"""What an application is given to connect to a database with."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor_model.concrete import Endpoint
from conductor_model.connection import Connectable, Connection, ConnectionFormat, CredentialsIncomplete
from conductor_model.databases import MySQLInstance, PostgreSQLInstance

PASSWORD = "s3cret"
MYSQL, POSTGRESQL = MySQLInstance.connection_format, PostgreSQLInstance.connection_format


def connection(
    username: str = "root",
    password: str = PASSWORD,
    host: str = "db.example.com",
    format: ConnectionFormat = MYSQL,
    **further: bytes,
) -> Connection:
    credentials = {"username": username.encode(), "password": password.encode(), **further}
    return format.connection(Connectable("aws", Endpoint(host=host, port=3306), {}, credentials))


def test_the_secret_has_the_keys_of_the_service_binding_specification():
    assert connection().secret == {
        "type": "mysql",
        "provider": "aws",
        "host": "db.example.com",
        "port": "3306",
        "username": "root",
        "password": "s3cret",
        "database": "mysql",
        "uri": "mysql://root:s3cret@db.example.com:3306/mysql",
    }


def test_a_postgresql_uri_has_the_scheme_that_clients_know():
    uri = connection(format=POSTGRESQL).secret["uri"]
    assert uri == "postgresql://root:s3cret@db.example.com:3306/postgres"


def test_a_resource_that_is_one_database_of_many_names_it():
    endpoint, facts = Endpoint(host="h", port=1), {"database": "or/ders"}
    found = MYSQL.connection(Connectable("sql", endpoint, facts, {"username": b"u", "password": b"p"}))
    assert (found.public["database"], found.secret["uri"]) == ("or/ders", "mysql://u:p@h:1/or%2Fders")


def test_the_config_map_has_neither_password_nor_uri():
    assert connection().public.keys() == {"type", "provider", "host", "port", "username", "database"}


def test_certificates_are_passed_on_where_there_are_any():
    found = connection(certificates=b"PEM")
    assert found.secret["certificates"] == "PEM"
    assert found.public["certificates"] == "PEM"


TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


@given(username=TEXT, password=TEXT)
def test_any_user_and_password_survive_the_uri(username, password):
    parts = urlsplit(connection(username, password).secret["uri"])
    assert unquote(parts.username or "") == username
    assert unquote(parts.password or "") == password
    assert (parts.hostname, parts.port, parts.path) == ("db.example.com", 3306, "/mysql")


def test_an_ipv6_host_is_bracketed_in_the_uri():
    assert connection(host="2001:db8::1").secret["uri"] == "mysql://root:s3cret@[2001:db8::1]:3306/mysql"


def test_no_repr_shows_the_password():
    assert "s3cret" not in repr(connection())
    assert "s3cret" not in repr(Connectable("aws", None, {}, {"password": b"s3cret"}))


@pytest.mark.parametrize("missing", ["username", "password"])
def test_a_missing_key_is_named(missing):
    data = {"username": b"u", "password": b"p"}
    del data[missing]
    with pytest.raises(CredentialsIncomplete, match=missing):
        MYSQL.connection(Connectable("aws", Endpoint(host="h", port=1), {}, data))


def test_a_password_that_is_no_text_is_refused_without_showing_it():
    with pytest.raises(CredentialsIncomplete) as caught:
        data = {"username": b"u", "password": b"\xff\xfe-raw"}
        MYSQL.connection(Connectable("aws", Endpoint(host="h", port=1), {}, data))
    assert "raw" not in str(caught.value)

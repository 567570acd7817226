"""What an application is given to connect with."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor_model.concrete import Endpoint
from conductor_model.kinds import CONNECTION_FORMATS, MYSQL_INSTANCE, POSTGRESQL_INSTANCE
from conductor_secrets_writer.connection import (
    Connection,
    CredentialsIncomplete,
    MasterCredentials,
    master_credentials,
)

PASSWORD = "s3cret"
MYSQL = CONNECTION_FORMATS[MYSQL_INSTANCE.group_kind]


def connection(username: str = "root", password: str = PASSWORD, host: str = "db.example.com") -> Connection:
    return Connection(MYSQL, "aws", Endpoint(host=host, port=3306), MasterCredentials(username, password))


def test_the_secret_has_the_keys_of_the_service_binding_specification():
    assert connection().secret() == {
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
    format = CONNECTION_FORMATS[POSTGRESQL_INSTANCE.group_kind]
    found = Connection(format, "aws", Endpoint(host="h", port=5432), MasterCredentials("u", "p"))
    assert found.uri == "postgresql://u:p@h:5432/postgres"


def test_the_config_map_has_neither_password_nor_uri():
    assert connection().public().keys() == {"type", "provider", "host", "port", "username", "database"}


def test_certificates_are_passed_on_where_there_are_any():
    found = Connection(MYSQL, "aws", Endpoint(host="h", port=1), MasterCredentials("u", "p", "PEM"))
    assert found.secret()["certificates"] == "PEM"
    assert found.public()["certificates"] == "PEM"


@given(username=st.text(min_size=1), password=st.text(min_size=1))
def test_any_user_and_password_survive_the_uri(username, password):
    parts = urlsplit(connection(username, password).uri)
    assert unquote(parts.username or "") == username
    assert unquote(parts.password or "") == password
    assert (parts.hostname, parts.port, parts.path) == ("db.example.com", 3306, "/mysql")


def test_an_ipv6_host_is_bracketed_in_the_uri():
    assert connection(host="2001:db8::1").uri == "mysql://root:s3cret@[2001:db8::1]:3306/mysql"


def test_no_repr_shows_the_password():
    assert "s3cret" not in repr(connection())


@pytest.mark.parametrize("missing", ["username", "password"])
def test_a_missing_key_is_named(missing):
    data = {"username": b"u", "password": b"p"}
    del data[missing]
    with pytest.raises(CredentialsIncomplete, match=missing):
        master_credentials(data)


def test_a_password_that_is_no_text_is_refused_without_showing_it():
    with pytest.raises(CredentialsIncomplete) as caught:
        master_credentials({"username": b"u", "password": b"\xff\xfe-raw"})
    assert "raw" not in str(caught.value)

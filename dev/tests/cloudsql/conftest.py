"""The stand-in, and Google's own client pointed at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conductor_dev.cloudsql.client import CloudSqlClient
from conductor_dev.cloudsql.server import Behaviour, CloudSqlApi, served


@pytest.fixture
def stand_in() -> Iterator[CloudSqlApi]:
    """Operations end at once. It never gave an answer that Google could not give."""
    api = CloudSqlApi(behaviour=Behaviour(operation_seconds=0))
    yield api
    assert api.unfaithful == []


@pytest.fixture
def client(stand_in: CloudSqlApi) -> Iterator[CloudSqlClient]:
    with served(stand_in) as url:
        yield CloudSqlClient(url, "project-1")

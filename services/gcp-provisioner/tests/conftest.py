"""Cloud SQL as the driver sees it: the stand-in in a thread of this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conductor_dev.cloudsql.client import CloudSqlClient
from conductor_dev.cloudsql.server import Behaviour, CloudSqlApi, served

PROJECT = "project-1"


@pytest.fixture
def cloud() -> Iterator[CloudSqlApi]:
    """Operations are under way until the test says otherwise. It never gave an answer that Google could not give."""
    api = CloudSqlApi(behaviour=Behaviour(operation_seconds=1_000_000))
    yield api
    assert api.unfaithful == []


@pytest.fixture
def google(cloud: CloudSqlApi) -> Iterator[CloudSqlClient]:
    """Somebody else's client of it."""
    with served(cloud) as url:
        yield CloudSqlClient(url, PROJECT)

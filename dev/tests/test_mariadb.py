"""MariaDB as a part, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor_dev.mariadb import MariaDB, find_mariadb

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_mariadb() is None, reason="no MariaDB is installed (Debian: mariadb-server)"),
]


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    with MariaDB.create(tmp_path) as server:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE kept")
        server.restart()
        with server.connect("kept") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT database()")
            assert cursor.fetchone() == ("kept",)
            cursor.execute("DROP DATABASE kept")

"""PostgreSQL as a part: it checks passwords, keeps its data over a kill, and dies with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conductor_dev.postgres import PostgreSQL
from conductor_dev.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    with PostgreSQL.create(tmp_path_factory.mktemp("postgres"), tls=True) as server:
        yield server


def test_what_was_committed_survives_a_kill_under_an_open_connection(server: PostgreSQL) -> None:
    with server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        server.kill()
        server.start()
    with server.connect() as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_it_stops_at_once_and_starts_again_though_a_client_is_connected(server: PostgreSQL) -> None:
    with server.connect():
        server.stop()
        assert server.part.exit_code == 0
        server.start()
    server.connect().close()


def test_a_wrong_password_is_refused(server: PostgreSQL) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        server.connect(password="wrong")


def test_with_tls_its_certificate_can_be_verified_and_nothing_else_is_accepted(
    server: PostgreSQL, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text(server.ca)
    verified = {"port": server.tls_port, "sslmode": "verify-full", "sslrootcert": str(authority)}
    with server.connect(**verified) as connection:
        assert connection.execute("SELECT repeat('x', 200000)").fetchone() == ("x" * 200_000,)
    with pytest.raises(psycopg.OperationalError):
        server.connect(port=server.tls_port, sslmode="disable")


def test_it_does_not_run_as_root(server: PostgreSQL) -> None:
    assert Path(f"/proc/{server.part.pid}").stat().st_uid != 0


def test_it_dies_with_whoever_started_it(tmp_path: Path) -> None:
    script = """
        import sys, signal
        from pathlib import Path
        from conductor_dev.postgres import PostgreSQL
        server = PostgreSQL.create(Path(sys.argv[1]))
        print(server.part.pid, flush=True)
        signal.pause()
    """
    starter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "server")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    os.kill(pid, 0)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    wait_until("the server is gone", lambda: not _lives(pid))


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"

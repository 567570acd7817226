"""A MariaDB server to work against, where one is installed (Debian: mariadb-server), as a process of our own.

Its data are in our folder and it listens on 127.0.0.1 only: a MariaDB that the machine runs already is left alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Self

import pymysql

from conductor_dev.certificates import make_certificates
from conductor_dev.errors import DevError
from conductor_dev.ports import free_port
from conductor_dev.processes import Part, start_on_free_ports
from conductor_dev.unprivileged import as_ordinary_user, hand_over

SUPERUSER = "admin"
_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))


def find_mariadb() -> tuple[str, str] | None:
    """The server and the program that makes it a data folder; None where it is not installed."""
    server, install = (shutil.which(name, path=_PLACES) for name in ("mariadbd", "mariadb-install-db"))
    return (server, install) if server and install else None


class MariaDB:
    """A running server. A context manager that stops it."""

    host = "127.0.0.1"

    def __init__(self, part: Part, port: int, password: str, ca: str) -> None:
        self.part = part
        self.port = port
        self.password = password
        """Of `admin`, who may do everything and grant it."""
        self.ca = ca
        """The authority of its certificate, as PEM. Clients may connect without TLS, too."""

    @classmethod
    def create(cls, folder: Path, *, logs: Path | None = None) -> Self:
        """Started and ready. DevError where it is not installed."""
        found = find_mariadb()
        if found is None:
            raise DevError("MariaDB is not installed (Debian: mariadb-server)")
        server, install = found
        data, password = folder / "data", secrets.token_urlsafe(24)
        data.mkdir(parents=True, mode=0o700)
        first_steps = folder / "first-steps.sql"
        first_steps.touch(mode=0o600)
        first_steps.write_text(
            # Made by another process, it is taken for another machine's; and without it no database can be dropped.
            "REPAIR NO_WRITE_TO_BINLOG TABLE mysql.proc;\n"
            f"CREATE USER IF NOT EXISTS {SUPERUSER}@'%' IDENTIFIED BY '{password}';\n"
            f"GRANT ALL ON *.* TO {SUPERUSER}@'%' WITH GRANT OPTION;\n"
        )
        certificates = make_certificates(folder / "certificates")
        hand_over(data, first_steps, certificates.server_certificate, certificates.server_key)
        defaults = "--no-defaults"
        made = subprocess.run(
            as_ordinary_user(
                [
                    install,
                    defaults,
                    f"--datadir={data}",
                    "--skip-test-db",
                    "--auth-root-authentication-method=normal",
                ]
            ),
            check=False,
            capture_output=True,
            text=True,
            cwd=data,
        )
        if made.returncode != 0:
            raise DevError(f"{install} ended with {made.returncode}: {(made.stdout + made.stderr)[-2000:]}")

        def make() -> tuple[Part, int]:
            port = free_port()
            command = [
                *(server, defaults, f"--datadir={data}", "--bind-address=127.0.0.1", f"--port={port}"),
                *(f"--socket={data / 'socket'}", f"--pid-file={data / 'pid'}", f"--init-file={first_steps}"),
                *(f"--ssl-cert={certificates.server_certificate}", f"--ssl-key={certificates.server_key}"),
                *(
                    "--innodb-flush-log-at-trx-commit=0",
                    "--innodb-buffer-pool-size=16M",
                    "--skip-name-resolve",
                ),
            ]
            log = (logs or folder / "logs") / "mariadb.log"
            return Part(
                "mariadbd", as_ordinary_user(command), log, lambda: _why_not_ready(port, password)
            ), port

        part, port = start_on_free_ports(make)
        return cls(part, port, password, certificates.authority.read_text())

    def connect(
        self, database: str | None = None, *, user: str = SUPERUSER, password: str | None = None
    ) -> pymysql.Connection[pymysql.cursors.Cursor]:
        """A connection of the administrator, or of another user, in autocommit mode."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=user,
            password=(self.password if password is None else password).encode(),
            database=database,
            autocommit=True,
            connect_timeout=30,
        )

    def stop(self) -> None:
        self.part.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self.part.kill()

    def start(self) -> None:
        """Starts it again after `stop` or `kill`, on the same port with the same data; returns when it is ready."""
        self.part.start()
        self.part.wait_ready()

    def restart(self) -> None:
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _why_not_ready(port: int, password: str) -> str | None:
    try:
        pymysql.connect(
            host=MariaDB.host, port=port, user=SUPERUSER, password=password, connect_timeout=5
        ).close()
    except pymysql.MySQLError as error:
        return str(error)
    return None

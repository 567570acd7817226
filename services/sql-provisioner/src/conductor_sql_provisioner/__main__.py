"""Runs the service: ``python -m conductor_sql_provisioner``. Any number of replicas may run; they share the work.

Settings are those of every provisioner (``conductor_provisioner.provisioner``), with ``SQL`` for the provider. Beside them,
``CONDUCTOR_SQL_STATEMENT_TIMEOUT`` is what a server gets for a statement (120, in seconds); deletions wait for so long, too.
Servers, and who logs in there as administrator, are told by ProviderConfigs.
"""

from __future__ import annotations

import os
import sys

from conductor_model.sqldatabase import SQLDatabase
from conductor_provisioner.provisioner import main
from conductor_sql_provisioner import VERSION
from conductor_sql_provisioner.servers import SQLServers

NAME = "sql-provisioner"


def run() -> int:
    try:
        servers = SQLServers.from_environment(os.environ)
    except ValueError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    return main(NAME, {SQLDatabase: servers}, version=VERSION)


if __name__ == "__main__":
    sys.exit(run())

"""Runs the service: ``python -m conductor_sql_provisioner``. Any number of replicas may run; they share the work.

Settings are those of every provisioner (``conductor_provisioner.provisioner``), with ``SQL`` for the provider. Servers,
and who logs in there as administrator, are told by ProviderConfigs.
"""

from __future__ import annotations

import sys

from conductor_model.sqldatabase import SQLDatabase
from conductor_provisioner.provisioner import main
from conductor_sql_provisioner import VERSION
from conductor_sql_provisioner.servers import SQLServers

NAME = "sql-provisioner"

if __name__ == "__main__":
    sys.exit(main(NAME, {SQLDatabase: SQLServers()}, version=VERSION))

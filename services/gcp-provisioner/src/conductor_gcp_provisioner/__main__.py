"""Runs the service: ``python -m conductor_gcp_provisioner``. Any number of replicas may run; they share the work.

| variable | meaning | default |
|---|---|---|
| ``CONDUCTOR_GCP_PROJECT`` | the project, where no ProviderConfig says one | ``GOOGLE_CLOUD_PROJECT``, the credentials' |
| ``CONDUCTOR_GCP_ENDPOINT`` | the URL of an API that is not Google's; it is shown no ambient credentials | Google's |
| ``GOOGLE_APPLICATION_CREDENTIALS`` and so on | as Google's libraries read them | Application Default Credentials |

Those of ``conductor_provisioner.provisioner``, as ``CONDUCTOR_GCP_…``, and of ``conductor_telemetry.service`` come on top.
"""

from __future__ import annotations

import os
import sys

from conductor_gcp_provisioner import VERSION
from conductor_gcp_provisioner.driver import CloudSQLDriverFactory
from conductor_gcp_provisioner.settings import GoogleSettings
from conductor_model.cloudsql import CloudSQLInstance
from conductor_provisioner.provisioner import main

NAME = "gcp-provisioner"

if __name__ == "__main__":
    environment = GoogleSettings.from_environment(os.environ)
    sys.exit(main(NAME, {CloudSQLInstance: CloudSQLDriverFactory(environment)}, version=VERSION))

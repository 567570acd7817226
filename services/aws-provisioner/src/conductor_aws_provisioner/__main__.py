"""Runs the service: ``python -m conductor_aws_provisioner``. Any number of replicas may run; they share the work.

Besides the variables of ``conductor_provisioner.provisioner`` (``CONDUCTOR_AWS_…``), for objects without a ProviderConfig:

| variable | meaning | default |
|---|---|---|
| ``AWS_REGION`` | the region | ``AWS_DEFAULT_REGION``, the AWS configuration file |
| ``AWS_ENDPOINT_URL``, credentials | as boto3 reads them | boto3's default chain |
"""

from __future__ import annotations

import sys

from conductor_aws_provisioner import VERSION
from conductor_aws_provisioner.rds import RDSDrivers
from conductor_aws_provisioner.s3 import S3Drivers
from conductor_model.rds import RDSInstance
from conductor_model.s3bucket import S3Bucket
from conductor_provisioner.provisioner import main

NAME = "aws-provisioner"

if __name__ == "__main__":
    sys.exit(main(NAME, {RDSInstance: RDSDrivers(), S3Bucket: S3Drivers()}, version=VERSION))

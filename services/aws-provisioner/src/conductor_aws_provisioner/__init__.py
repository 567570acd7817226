"""The provisioner of Amazon RDS and S3: makes the DB instances and buckets that objects describe, and unmakes them.

The life of a resource is the library's, see ``conductor_provisioner.managed``. Here, read in this order: ``rds`` (its
driver over boto3), ``decide`` (what differs and what to request, pure), ``external`` (a DB instance as decisions see it);
``s3`` (its driver), ``s3_decide`` (what of a bucket differs, pure), ``s3_user`` (the user beside it and its keys, pure);
``session`` (how to get into an account).
"""

from importlib.metadata import version

VERSION = version("conductor-aws-provisioner")

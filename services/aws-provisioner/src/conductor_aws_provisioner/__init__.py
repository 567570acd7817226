"""The provisioner of Amazon RDS: makes the DB instances that RDSInstance objects describe, and unmakes them.

The life of a resource is the library's, see ``conductor_provisioner.managed``. Here, read in this order: ``rds`` (the
driver over boto3), ``decide`` (what differs and what to request, pure), ``external`` (a DB instance as decisions see it),
``session`` (how to get into an account).
"""

from importlib.metadata import version

VERSION = version("conductor-aws-provisioner")

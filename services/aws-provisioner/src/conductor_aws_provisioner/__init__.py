"""The provisioner of Amazon RDS: makes the DB instances that RDSInstance objects describe, and unmakes them.

Read in this order: ``reconcile`` (the life of a resource), ``decide`` (what to do next, pure), ``external`` (the
driver's words), ``rds`` (the driver over boto3), ``cluster`` (what is read and written in the Kubernetes API).
"""

from importlib.metadata import version

VERSION = version("conductor-aws-provisioner")

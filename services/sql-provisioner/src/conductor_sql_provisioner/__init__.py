"""The provisioner of databases on servers that exist: makes what SQLDatabase objects describe, and unmakes it.

Read in this order: ``state`` (what is found, and the steps that change it), ``decide`` (what to do next, pure),
``driver`` (one round), ``postgres`` and ``mysql`` with their ``_steps`` (the statements).
"""

from importlib.metadata import version

VERSION = version("conductor-sql-provisioner")

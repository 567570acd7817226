"""Write a provisioner: a ``Driver`` for one kind of external resource; the library does the rest.

Read in this order: ``driver`` and ``errors`` (what is yours), ``provisioner`` (a process of it), ``managed`` (the life of a
resource), ``decide`` and ``status`` (pure), ``accounts`` and ``gate`` (where calls go, and when they do not), ``sweep``.
"""

from conductor_provisioner.driver import (
    NOT_THERE,
    Account,
    Calls,
    CredentialsFrom,
    Drift,
    Driver,
    DriverFactory,
    Observation,
    Owner,
    Ownership,
    Releases,
    Resource,
    SecretData,
    Sweeps,
    Tagged,
)
from conductor_provisioner.errors import (
    NameRetired,
    NotLetIn,
    ProviderError,
    Refused,
    Retryable,
    Terminal,
    Throttled,
    Transient,
)

__all__ = [
    "NOT_THERE",
    "Account",
    "Calls",
    "CredentialsFrom",
    "Drift",
    "Driver",
    "DriverFactory",
    "NameRetired",
    "NotLetIn",
    "Observation",
    "Owner",
    "Ownership",
    "ProviderError",
    "Refused",
    "Releases",
    "Resource",
    "Retryable",
    "SecretData",
    "Sweeps",
    "Tagged",
    "Terminal",
    "Throttled",
    "Transient",
]

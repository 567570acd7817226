"""What can go wrong between a driver and its cloud, sorted by what helps.

::

    ProviderError
    ├── Terminal            the spec must change; trying again is of no use
    ├── Refused             the account must change: permissions, quota; looked at again at leisure
    │   └── NotLetIn        its credentials are wrong, or too old; tried again soon, once for all resources
    ├── NameRetired         the external name cannot be used any more; ``successor`` can
    └── Retryable           nobody needs to do anything
        ├── Throttled       retry_after: seconds in which the account makes no call
        └── Transient       backoff: a broken connection, a failure of theirs, a resource that is busy

A driver raises these and nothing else on purpose. What is ``retryable``, and after how long, is read from them by the
work queue that they are raised into. Their text is shown in conditions and logs: it holds the cloud's own words, and
never a secret.
"""

from __future__ import annotations

from typing import ClassVar


class ProviderError(Exception):
    """A call that did not do what it should: what was tried, on what, and what the other side said."""

    retryable: ClassVar[bool] = False

    def __init__(
        self, action: str, target: str, code: str, message: str, *, reason: str | None = None
    ) -> None:
        """``action`` on ``target`` (``CreateDBInstance``, ``db-1``) was answered with the cloud's ``code`` and
        ``message``. ``reason``: the CamelCase reason of the condition, where the kind of error says too little.
        """
        super().__init__(f"{action} of {target}: {code}: {message}")
        self.action = action
        self.target = target
        self.code = code
        self.message = message
        self.reason = reason


class Terminal(ProviderError):
    """The cloud refuses what the spec asks for."""


class Refused(ProviderError):
    """The cloud refuses us, whatever the spec says: an administrator of the account must act."""


class NotLetIn(Refused):
    """The credentials that the account is entered with are not accepted. Nothing tells when they were set right there."""


class NameRetired(ProviderError):
    """The cloud will not take this name again for now, though nothing has it: one that was deleted lately.

    The reconciler records ``successor`` in the object's status before anything is created under it.
    """

    def __init__(self, action: str, target: str, code: str, message: str, *, successor: str) -> None:
        super().__init__(action, target, code, message)
        self.successor = successor


class Retryable(ProviderError):
    """It may well work next time."""

    retryable = True


class Throttled(Retryable):
    """The cloud asks for fewer calls."""

    def __init__(self, action: str, target: str, code: str, message: str, *, retry_after: float) -> None:
        super().__init__(action, target, code, message)
        self.retry_after = retry_after


class Transient(Retryable):
    """A failure that passes."""

"""What can go wrong between us and AWS, sorted by what helps.

::

    AwsError
    ├── Terminal            the spec must change; retrying is of no use
    ├── Refused             the account must change: permissions, credentials, quota; looked at again at leisure
    └── Retryable           nobody needs to do anything
        ├── Throttled       retry_after: seconds in which no call is made
        └── Transient       backoff: a broken connection, a failure of theirs, an instance that is busy

What is ``retryable``, and after how long, is read from these by the work queue that they are raised into.

Sources: "Common Errors" and the errors of CreateDBInstance, ModifyDBInstance, DeleteDBInstance and
DescribeDBInstances in the Amazon RDS API Reference; "Error retries" in the AWS SDKs and Tools Reference Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


class AwsError(Exception):
    """An AWS call that did not do what it should: which call, on what, and what AWS said."""

    retryable: ClassVar[bool] = False

    def __init__(self, action: str, identifier: str, code: str, message: str) -> None:
        super().__init__(f"{action} of {identifier}: {code}: {message}")
        self.action = action
        self.identifier = identifier
        self.code = code
        self.message = message


class Terminal(AwsError):
    """AWS refuses what the spec asks for."""


class Refused(AwsError):
    """AWS refuses us, whatever the spec says: an administrator of the account must act."""


class Retryable(AwsError):
    """It may well work next time."""

    retryable = True


class Throttled(Retryable):
    """AWS asks for fewer calls."""

    def __init__(self, action: str, identifier: str, code: str, message: str, *, retry_after: float) -> None:
        super().__init__(action, identifier, code, message)
        self.retry_after = retry_after


class Transient(Retryable):
    """A failure that passes."""


DEFAULT_THROTTLE_SECONDS = 5.0
"""How long to be quiet when AWS does not say."""

THROTTLING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)

REFUSAL_CODES = frozenset(
    {
        # Who we are and what we may do.
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "AuthorizationNotFound",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "KMSKeyNotAccessibleFault",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        # What the account still has room for.
        "InstanceQuotaExceeded",
        "StorageQuotaExceeded",
        "SnapshotQuotaExceeded",
    }
)

TRANSIENT_CODES = frozenset(
    {
        # Ours was not the only change under way; it works when the instance has settled.
        "DBInstanceAlreadyExists",
        "DBInstanceNotFound",
        "DBInstanceNotFoundFault",
        "InvalidDBInstanceState",
        "InvalidDBInstanceStateFault",
        # Theirs.
        "InsufficientDBInstanceCapacity",
        "InternalError",
        "InternalFailure",
        "RequestExpired",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
    }
)

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """An error answer of AWS, as far as sorting it needs."""

    code: str
    message: str
    http_status: int
    headers: Mapping[str, str]


def sort(action: str, identifier: str, answer: Answer) -> AwsError:
    """The error to raise for an error answer. A code that we do not know is judged by its HTTP status."""
    if answer.code in THROTTLING_CODES or answer.http_status == _TOO_MANY_REQUESTS:
        retry_after = _seconds(answer.headers.get("retry-after"))
        return Throttled(action, identifier, answer.code, answer.message, retry_after=retry_after)
    kind: type[AwsError] = Terminal
    if answer.code in REFUSAL_CODES:
        kind = Refused
    elif answer.code in TRANSIENT_CODES or answer.http_status >= _SERVER_ERROR:
        kind = Transient
    return kind(action, identifier, answer.code, answer.message)


def _seconds(retry_after: str | None) -> float:
    """Of a Retry-After header; its other form, a date, is not used by AWS."""
    if retry_after is not None and retry_after.isdecimal():
        return float(retry_after)
    return DEFAULT_THROTTLE_SECONDS

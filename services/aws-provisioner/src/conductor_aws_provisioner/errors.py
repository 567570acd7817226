"""Sorts what AWS answers into the errors that a provisioner knows.

Sources: "Common Errors" and the errors of CreateDBInstance, ModifyDBInstance, DeleteDBInstance and
DescribeDBInstances in the Amazon RDS API Reference; "Error responses" in the Amazon S3 API Reference; the errors of
CreateUser, CreateAccessKey and DeleteUser in the IAM API Reference; "Error retries" in the AWS SDKs and Tools Reference
Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conductor_provisioner import NotLetIn, ProviderError, Refused, Terminal, Throttled, Transient

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
        "AccountProblem",
        "AllAccessDisabled",
        "AuthorizationNotFound",
        "IncompleteSignature",
        "KMSKeyNotAccessibleFault",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "NotSignedUp",
        "OptInRequired",
        "UnauthorizedOperation",
        # What the account still has room for.
        "InstanceQuotaExceeded",
        "LimitExceeded",
        "StorageQuotaExceeded",
        "SnapshotQuotaExceeded",
        "TooManyBuckets",
    }
)

WRONG_CREDENTIALS_CODES = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)

TRANSIENT_CODES = frozenset(
    {
        # Ours was not the only change under way, or one of ours is not seen everywhere yet; it works a little later.
        "ConcurrentModification",
        "DBInstanceAlreadyExists",
        "DBInstanceNotFound",
        "DBInstanceNotFoundFault",
        "DeleteConflict",
        "EntityAlreadyExists",
        "EntityTemporarilyUnmodifiable",
        "InvalidDBInstanceState",
        "InvalidDBInstanceStateFault",
        "NoSuchBucket",
        "NoSuchEntity",
        "OperationAborted",
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


def sort(action: str, target: str, answer: Answer) -> ProviderError:
    """The error to raise for an error answer. A code that we do not know is judged by its HTTP status."""
    if answer.code in THROTTLING_CODES or answer.http_status == _TOO_MANY_REQUESTS:
        retry_after = _seconds(answer.headers.get("retry-after"))
        return Throttled(action, target, answer.code, answer.message, retry_after=retry_after)
    kind: type[ProviderError] = Terminal
    if answer.code in WRONG_CREDENTIALS_CODES:
        kind = NotLetIn
    elif answer.code in REFUSAL_CODES:
        kind = Refused
    elif answer.code in TRANSIENT_CODES or answer.http_status >= _SERVER_ERROR:
        kind = Transient
    return kind(action, target, answer.code, answer.message)


def _seconds(retry_after: str | None) -> float:
    """Of a Retry-After header; its other form, a date, is not used by AWS."""
    if retry_after is not None and retry_after.isdecimal():
        return float(retry_after)
    return DEFAULT_THROTTLE_SECONDS

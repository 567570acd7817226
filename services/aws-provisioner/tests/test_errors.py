"""Which of AWS's errors need a person, and which need patience."""

from __future__ import annotations

import pytest

from conductor_aws_provisioner.errors import Answer, sort
from conductor_provisioner import NotLetIn, ProviderError, Refused, Terminal, Throttled, Transient


def answer(code: str, http_status: int = 400, **headers: str) -> Answer:
    return Answer(code, "what AWS said", http_status, headers)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (answer("InvalidParameterValue"), Terminal),
        (answer("InvalidParameterCombination"), Terminal),
        (answer("DBSubnetGroupNotFoundFault", 404), Terminal),
        (answer("DBSnapshotAlreadyExists"), Terminal),
        (answer("AccessDenied", 403), Refused),
        (answer("InvalidClientTokenId", 403), NotLetIn),
        (answer("InstanceQuotaExceeded"), Refused),
        (answer("Throttling"), Throttled),
        (answer("RequestLimitExceeded", 503), Throttled),
        (answer("SomethingNew", 429), Throttled),
        (answer("DBInstanceAlreadyExists"), Transient),
        (answer("InvalidDBInstanceState"), Transient),
        (answer("InsufficientDBInstanceCapacity"), Transient),
        (answer("InternalFailure", 500), Transient),
        (answer("SomethingNew", 502), Transient),
    ],
)
def test_errors_are_sorted_by_what_helps(given: Answer, kind: type[ProviderError]) -> None:
    error = sort("CreateDBInstance", "conductor-1", given)

    assert type(error) is kind
    assert error.retryable is (kind in {Throttled, Transient})
    assert str(error) == f"CreateDBInstance of conductor-1: {given.code}: what AWS said"


@pytest.mark.parametrize(
    ("header", "seconds"), [("17", 17.0), ("Fri, 31 Dec 1999 23:59:59 GMT", 5.0), (None, 5.0)]
)
def test_aws_says_for_how_long_to_be_quiet(header: str | None, seconds: float) -> None:
    headers = {"retry-after": header} if header else {}

    error = sort("CreateDBInstance", "conductor-1", Answer("Throttling", "slow down", 400, headers))

    assert isinstance(error, Throttled)
    assert error.retry_after == seconds

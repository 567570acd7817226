"""What AWS answers while something is wrong: the words of its two XML protocols.

Sources: "Common errors" of the Query API (Throttling, ServiceUnavailable), "Error responses" of the S3 API (SlowDown,
ServiceUnavailable).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    THROTTLED = "throttled"
    OUTAGE = "outage"


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    body: bytes


def answer_to(service: str, fault: Fault) -> Answer:
    """``service`` as in a signature's scope: ``rds``, ``s3``."""
    rest = service == "s3"
    status, code, message = _WORDS[rest, fault]
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if rest:
        body = f"<Error>{error}<RequestId>1</RequestId></Error>"
    else:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>1</RequestId></ErrorResponse>"
    return Answer(status, body.encode())


_DOWN = ("503 Service Unavailable", "ServiceUnavailable", "Service is unable to handle request.")
_WORDS = {
    (False, Fault.THROTTLED): ("400 Bad Request", "Throttling", "Rate exceeded"),
    (False, Fault.OUTAGE): _DOWN,
    (True, Fault.THROTTLED): ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    (True, Fault.OUTAGE): _DOWN,
}

"""Google's error answers, sorted into ``conductor_provisioner.errors``.

They come in two forms: with ``errors``, each with a ``reason`` such as instanceAlreadyExists, or with a ``status`` such
as ALREADY_EXISTS and ``details``, where an ErrorInfo holds the reason. What is in neither is judged by its HTTP status.

Sources: "Error codes" of the Cloud SQL Admin API; google.rpc.Status, google.rpc.ErrorInfo.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from conductor_provisioner.errors import NotLetIn, ProviderError, Refused, Terminal, Throttled, Transient

DEFAULT_THROTTLE_SECONDS = 5.0
"""How long to be quiet when Google does not say."""
MAX_THROTTLE_SECONDS = 600.0

DOES_NOT_EXIST = "instanceDoesNotExist"
DENIED = frozenset({"notAuthorized", "forbidden", "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", "HTTP403"})
"""We may not look, or there is nothing to look at: Google has said this of instances that are not there."""
IN_PROGRESS = frozenset({"operationInProgress", "OPERATION_IN_PROGRESS", "ABORTED"})
"""Something else is under way. Any other conflict of an insert is about its name: in use, or used until lately."""

_THROTTLING = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
_PASSING = IN_PROGRESS | {"invalidState", "backendError", "internalError"}
_PASSING_WORDS = ("instance is not running", "operation was already in progress", "operation is in progress")
"""Google has no reason of its own for calls on users of an instance that is not up."""


class NotFound(Transient):
    """What the call is about is not there: of an instance that is looked for, no error at all."""


class Conflict(Transient):
    """Something is there already, or under way already."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An error answer, as far as sorting it needs."""

    status: int
    """Of HTTP."""
    reason: str
    message: str
    retry_after: str | None = None

    @classmethod
    def parse(
        cls,
        status: int,
        phrase: str,
        content: bytes,
        headers: Mapping[str, str],
        *,
        hidden: str | None = None,
    ) -> Answer:
        """``hidden`` is a secret of the request: Google may quote it, and nobody is to read it."""
        reason, message = _read(content)
        message = message or phrase or f"HTTP {status}"
        if hidden:
            message = message.replace(hidden, "***")
        return cls(status, reason or f"HTTP{status}", message, headers.get("retry-after"))


def sort(action: str, target: str, answer: Answer, now: datetime) -> ProviderError:
    """The error to raise for an error answer."""
    wait = _seconds(answer.retry_after, now)
    if answer.status == 429 or answer.reason in _THROTTLING or (answer.status == 503 and wait is not None):
        return Throttled(
            action,
            target,
            answer.reason,
            answer.message,
            retry_after=wait if wait is not None else DEFAULT_THROTTLE_SECONDS,
        )
    return _kind(answer)(action, target, answer.reason, answer.message)


def _kind(answer: Answer) -> type[Terminal] | type[Refused] | type[Transient]:
    match answer.status:
        case 401:
            return NotLetIn
        case 403 if answer.reason not in _PASSING:
            return Refused
        case 404 | 410:
            return NotFound
        case 409:
            return Conflict
        case 408 | 412:  # it changed under our hands: look again
            return Transient
        case 501:
            return Terminal
        case status if status >= 500 or answer.reason in _PASSING or _says_passing(answer.message):
            return Transient
        case _:
            return Terminal


def _says_passing(message: str) -> bool:
    return any(words in message.lower() for words in _PASSING_WORDS)


def _read(content: bytes) -> tuple[str | None, str | None]:
    try:
        written: Any = json.loads(content)
    except ValueError:
        return None, None
    if isinstance(written, list) and written:
        written = written[0]
    error = written.get("error") if isinstance(written, dict) else None
    if isinstance(error, str):
        return error, written.get("error_description")
    if not isinstance(error, dict):
        return None, None
    reasons = [
        each["reason"]
        for key in ("errors", "details")
        for each in error.get(key) or ()
        if isinstance(each, dict) and each.get("reason")
    ]
    return (reasons[0] if reasons else error.get("status")), error.get("message")


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Of a Retry-After header: seconds, or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - now).total_seconds()
        except (TypeError, ValueError):
            return None
    return min(max(0.0, seconds), MAX_THROTTLE_SECONDS)

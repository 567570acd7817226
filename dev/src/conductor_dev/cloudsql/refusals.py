"""Google's error answers, in the two forms that clients meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from conductor_dev.cloudsql.shapes import Problem

_STATUS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
"""google.rpc.Code beside HTTP's."""


class ErrorStyle(StrEnum):
    """How an error is written: with ``errors`` and a reason in each, or with ``status`` and ``details``."""

    ERRORS = "errors"
    DETAILS = "details"


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        violations: Sequence[Problem] = (),
    ) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.violations = tuple(violations)

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}

    def body(self, style: ErrorStyle) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.violations or style is ErrorStyle.DETAILS:
            error["status"] = _STATUS.get(self.code, HTTPStatus(self.code).phrase.upper().replace(" ", "_"))
            error["details"] = self._details()
        else:
            error["errors"] = [{"message": self.message, "domain": "global", "reason": self.reason}]
        return {"error": error}

    def _details(self) -> list[dict[str, Any]]:
        if self.violations:
            return [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [
                        {"field": problem.path, "description": problem.message} for problem in self.violations
                    ],
                }
            ]
        return [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": self.reason,
                "domain": "sqladmin.googleapis.com",
            }
        ]


def malformed(problems: Sequence[Problem]) -> Refusal:
    text = "; ".join(map(str, problems))
    return Refusal(400, "badRequest", f"Invalid JSON payload received. {text}", violations=problems)


def invalid(message: str) -> Refusal:
    return Refusal(400, "invalid", f"Invalid request: {message}")


def no_instance() -> Refusal:
    return Refusal(404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.")


def name_taken() -> Refusal:
    return Refusal(
        409,
        "instanceAlreadyExists",
        "The Cloud SQL instance already exists. When you delete an instance, you can't reuse the name of the deleted "
        "instance until one week from the deletion date.",
    )


def in_progress() -> Refusal:
    return Refusal(
        409,
        "operationInProgress",
        "Operation failed because another operation was already in progress. Try your request after the current "
        "operation is complete.",
    )


def not_running() -> Refusal:
    return invalid("Invalid request since instance is not running.")


def protected() -> Refusal:
    return Refusal(
        400,
        "invalid",
        "The instance is protected. Please disable the deletion protection and try again. To disable deletion "
        "protection, update the instance settings with deletionProtectionEnabled set to false.",
    )


def stale() -> Refusal:
    return Refusal(412, "staleData", "Condition does not match.")


def no_room() -> Refusal:
    return Refusal(
        403,
        "errorMaxInstancePerLabel",
        "Failed to create instance because the project or creator has reached the max instance per project/creator limit.",
    )


def too_fast(retry_after: float | None) -> Refusal:
    return Refusal(
        429,
        "rateLimitExceeded",
        "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user'.",
        retry_after=retry_after,
    )

"""Google's error answers are sorted by what helps, in both of their forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from conductor_dev.cloudsql.refusals import (
    ErrorStyle,
    Refusal,
    in_progress,
    invalid,
    malformed,
    name_taken,
    no_instance,
    no_room,
    not_running,
    stale,
    too_fast,
)
from conductor_dev.cloudsql.shapes import Problem
from conductor_gcp_provisioner.errors import Answer, Conflict, NotFound, sort
from conductor_provisioner.errors import NotLetIn, ProviderError, Refused, Terminal, Throttled, Transient

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def sorted_answer(refusal: Refusal, style: ErrorStyle = ErrorStyle.ERRORS) -> ProviderError:
    headers = {key.lower(): value for key, value in refusal.headers.items()}
    answer = Answer.parse(refusal.code, "", json.dumps(refusal.body(style)).encode(), headers)
    return sort("PatchInstance", "db", answer, NOW)


@pytest.mark.parametrize("style", ErrorStyle)
@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (invalid("Tier (huge) is not valid."), Terminal),
        (malformed([Problem("settings", "Unknown name")]), Terminal),
        (Refusal(501, "notImplemented", "no"), Terminal),
        (no_room(), Refused),
        (Refusal(403, "notAuthorized", "The client is not authorized."), Refused),
        (Refusal(401, "authError", "Invalid credentials"), NotLetIn),
        (no_instance(), NotFound),
        (name_taken(), Conflict),
        (in_progress(), Conflict),
        (not_running(), Transient),
        (stale(), Transient),
        (Refusal(500, "internalError", "sorry"), Transient),
        (Refusal(503, "backendError", "sorry"), Transient),
        (too_fast(None), Throttled),
        (Refusal(403, "rateLimitExceeded", "slower"), Throttled),
        (Refusal(403, "operationInProgress", "busy"), Transient),
        (Refusal(410, "gone", "It was deleted."), NotFound),
        (Refusal(400, "failedPrecondition", "Another operation was already in progress."), Transient),
    ],
)
def test_an_error_is_sorted_by_what_helps(
    refusal: Refusal, kind: type[ProviderError], style: ErrorStyle
) -> None:
    error = sorted_answer(refusal, style)
    assert type(error) is kind
    assert error.message == refusal.message


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, 5.0), ("30", 30.0), ("Sat, 21 Nov 2026 12:00:40 GMT", 40.0), ("soon", 5.0), ("99999", 600.0)],
)
def test_the_delay_that_google_asks_for_is_obeyed(retry_after: str | None, seconds: float) -> None:
    answer = Answer(429, "rateLimitExceeded", "slower", retry_after)
    error = sort("GetInstance", "db", answer, NOW)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


def test_an_outage_that_says_when_it_ends_is_waited_for() -> None:
    error = sort("GetInstance", "db", Answer(503, "backendError", "sorry", "20"), NOW)
    assert isinstance(error, Throttled)
    assert error.retry_after == 20


@pytest.mark.parametrize("content", [b"", b"<html>Bad Gateway</html>", b"[]", b'{"error": null}', b"3"])
def test_an_answer_that_is_no_error_of_google_s_is_judged_by_its_status(content: bytes) -> None:
    answer = Answer.parse(502, "Bad Gateway", content, {})
    error = sort("GetInstance", "db", answer, NOW)
    assert type(error) is Transient
    assert error.message == "Bad Gateway"


def test_a_password_that_google_quotes_is_not_repeated() -> None:
    content = json.dumps({"error": {"code": 400, "message": "password s3cret is too short"}}).encode()
    answer = Answer.parse(400, "Bad Request", content, {}, hidden="s3cret")
    assert "s3cret" not in str(sort("InsertUser", "db", answer, NOW))

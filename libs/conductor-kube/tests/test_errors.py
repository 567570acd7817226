"""Answers are sorted into types; which of them is worth another try is a type, too."""

from __future__ import annotations

import json

import pytest

from conductor_kube import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    NotServed,
    RetryableError,
    TerminalError,
    Throttled,
    Unauthorized,
    Unavailable,
)
from conductor_kube.errors import KubeError, error_from_answer

WHAT = "PATCH rdsinstances a/b"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (400, {"reason": "BadRequest"}, Invalid),
        (401, {"reason": "Unauthorized"}, Unauthorized),
        (403, {"reason": "Forbidden"}, Forbidden),
        (404, {"reason": "NotFound", "details": {"name": "b"}}, NotFound),
        (404, {"reason": "NotFound", "details": {}}, NotServed),
        (404, {}, NotServed),
        (405, {"reason": "MethodNotAllowed"}, Invalid),
        (408, {}, Unavailable),
        (409, {"reason": "Conflict"}, Conflict),
        (409, {"reason": "AlreadyExists"}, AlreadyExists),
        (410, {"reason": "Expired"}, Gone),
        (412, {}, Conflict),
        (413, {"reason": "RequestEntityTooLarge"}, Invalid),
        (415, {}, Invalid),
        (422, {"reason": "Invalid"}, Invalid),
        (422, {"reason": "Invalid", "details": {"causes": [{"field": "metadata.uid"}]}}, Conflict),
        (429, {}, Throttled),
        (500, {"reason": "InternalError"}, Unavailable),
        (503, {"reason": "ServiceUnavailable"}, Unavailable),
        (504, {"reason": "Timeout"}, Unavailable),
        (302, {}, Unavailable),
        (418, {}, Unavailable),
    ],
)
def test_every_answer_has_its_type(code: int, status: dict[str, object], kind: type[KubeError]) -> None:
    error = error_from_answer(code, json.dumps(status).encode(), what=WHAT)
    assert type(error) is kind
    assert error.status == code
    assert error.what == WHAT
    assert error.retryable is isinstance(error, RetryableError) is not isinstance(error, TerminalError)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff\xfe", b'"text"'])
def test_an_answer_that_is_no_status_is_an_error_all_the_same(body: bytes) -> None:
    assert isinstance(error_from_answer(502, body, what=WHAT), Unavailable)


def test_an_error_says_what_was_tried_and_what_the_server_said() -> None:
    body = json.dumps({"reason": "Conflict", "message": "the object has been modified"}).encode()
    assert str(error_from_answer(409, body, what=WHAT)) == f"{WHAT}: Conflict: the object has been modified"


def test_a_confidential_answer_names_fields_and_quotes_nothing() -> None:
    details = {
        "causes": [{"field": "data[p]", "reason": "FieldValueInvalid", "message": 'Invalid: "hunter2"'}]
    }
    body = json.dumps({"reason": "Invalid", "message": 'Invalid: "hunter2"', "details": details}).encode()
    text = str(error_from_answer(422, body, what=WHAT, confidential=True))
    assert text == f"{WHAT}: Invalid: data[p]: FieldValueInvalid"


@pytest.mark.parametrize(
    ("header", "details", "seconds"), [(5.0, {}, 5.0), (None, {"retryAfterSeconds": 3}, 3.0), (None, {}, 1.0)]
)
def test_a_throttled_request_knows_for_how_long(
    header: float | None, details: dict[str, int], seconds: float
) -> None:
    error = error_from_answer(429, json.dumps({"details": details}).encode(), what=WHAT, retry_after=header)
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds

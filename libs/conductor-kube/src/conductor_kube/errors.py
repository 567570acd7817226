"""What the Kubernetes API answers instead of what was asked for.

::

    KubeError
    ├── TerminalError              trying again with the same request cannot help
    │   ├── NotFound               404: the kind is served, the object (or its namespace) does not exist
    │   ├── AlreadyExists          409: a create met an object of that name
    │   ├── Invalid                400, 405, 413, 415, 422: the request is wrong
    │   └── NoCluster              no kubeconfig and no service account: nothing to talk to
    └── RetryableError             the same request, or one made from a fresh read, may succeed later
        ├── Conflict               409, 412: another version or another uid than the write was made for: read again
        ├── Gone                   410: the resourceVersion or page token is too old: list again
        ├── NotServed              404 for the kind itself: its CRD is not (or no longer) installed
        ├── Unauthorized           401, also after the credentials were read anew
        ├── Forbidden              403: RBAC, quota or a terminating namespace; mended outside of the object
        ├── Throttled              429: retry after ``retry_after`` seconds
        └── Unavailable            5xx, timeouts, and everything that the network can do

A ``NotFound`` answer to a ``get`` is the only proof that an object does not exist; one from a write to a subresource may
also mean that the kind has no such subresource.

Errors carry the server's message and never a request body; for Secrets not even the message, which may quote one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

_MESSAGE_LIMIT = 2000


class KubeError(Exception):
    """Base of all errors of this library.

    ``status`` is the HTTP status (0 when there was no answer), ``reason`` the API's CamelCase word, ``message`` what
    the server said, ``what`` the request, such as ``PATCH rdsinstances/status team-a/orders``.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, what: str, status: int = 0, reason: str = "") -> None:
        self.message = message
        self.what = what
        self.status = status
        self.reason = reason or type(self).__name__
        super().__init__(f"{what}: {self.reason}: {message}" if message else f"{what}: {self.reason}")


class TerminalError(KubeError):
    """Trying again cannot help: something must change first."""


class RetryableError(KubeError):
    """Worth another try, later or from a fresh read."""

    retryable = True


class NotFound(TerminalError):
    """The object, or the namespace that it should be in, does not exist."""


class AlreadyExists(TerminalError):
    """An object of that name is there already."""


class Invalid(TerminalError):
    """The API server does not take the request as it is."""


class NoCluster(TerminalError):
    """Nothing says which API server to talk to."""


class Conflict(RetryableError):
    """The object is not the one, or not in the version, that the write was made for."""


class Gone(RetryableError):
    """The history that was asked for is compacted."""


class NotServed(RetryableError):
    """The API server does not serve this kind: that says nothing about its objects."""


class Unauthorized(RetryableError):
    """The credentials are not accepted."""


class Forbidden(RetryableError):
    """The credentials do not allow this, or an admission rule or a quota stands against it."""


class Throttled(RetryableError):
    """The API server asks for patience: ``retry_after`` seconds."""

    def __init__(
        self, message: str, *, what: str, status: int = 429, reason: str = "", retry_after: float
    ) -> None:
        super().__init__(message, what=what, status=status, reason=reason)
        self.retry_after = retry_after


class Unavailable(RetryableError):
    """No answer, or one that says that the server cannot answer now. The request may have taken effect."""


_BY_CODE: Mapping[int, type[KubeError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    408: Unavailable,
    409: Conflict,
    410: Gone,
    412: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}
_TOO_MANY_REQUESTS = 429
_NOT_FOUND = 404


def error_from_answer(
    code: int, body: bytes, *, what: str, retry_after: float | None = None, confidential: bool = False
) -> KubeError:
    """The error for an HTTP answer that is none of 2xx. ``confidential`` leaves the server's message out."""
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": body[:_MESSAGE_LIMIT].decode(errors="replace").strip()}
    return error_from_status(status, code=code, what=what, retry_after=retry_after, confidential=confidential)


def error_from_status(
    status: Mapping[str, Any],
    *,
    what: str,
    code: int | None = None,
    retry_after: float | None = None,
    confidential: bool = False,
) -> KubeError:
    """The error for a ``Status`` object, as answers and watch events carry it."""
    code = code if code is not None else int(status.get("code") or 500)
    details = status.get("details") or {}
    reason = str(status.get("reason") or "")
    message = _fields_at_fault(details) if confidential else str(status.get("message") or "")[:_MESSAGE_LIMIT]
    if code == _TOO_MANY_REQUESTS:
        seconds = retry_after if retry_after is not None else float(details.get("retryAfterSeconds") or 1)
        return Throttled(message, what=what, status=code, reason=reason, retry_after=seconds)
    kind = _BY_CODE.get(code, Unavailable)
    if code == _NOT_FOUND and not details.get("name"):
        kind = NotServed
    elif reason == "AlreadyExists":
        kind = AlreadyExists
    elif kind is Invalid and any(
        cause.get("field") == "metadata.uid" for cause in details.get("causes") or ()
    ):
        # How the API server says "another object of the same name" to a patch that names a uid.
        kind = Conflict
    return kind(message, what=what, status=code, reason=reason)


def _fields_at_fault(details: Mapping[str, Any]) -> str:
    """Which fields a message was about, without the message: it may quote their content."""
    return ", ".join(f"{cause.get('field')}: {cause.get('reason')}" for cause in details.get("causes") or ())

"""A connection for one call: a request is sent once.

httplib2 sends a request again when the connection ends without an answer, as if it had been an old one that went stale.
A new one did not: the request may well have had its effect, and whether to repeat it is for the reconciler to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httplib2

TIMEOUT_SECONDS = 30


class LostAnswer(OSError):
    """The connection ended before the answer."""


class _Once:
    """Of a connection that is opened once."""

    _opened = False

    def connect(self) -> None:
        if self._opened:
            raise LostAnswer("the connection ended before the answer")
        self._opened = True
        super().connect()  # type: ignore[misc]


class _Plain(_Once, httplib2.HTTPConnectionWithTimeout):  # type: ignore[misc]
    pass


class _Tls(_Once, httplib2.HTTPSConnectionWithTimeout):  # type: ignore[misc]
    pass


_TYPES: Mapping[str, type[Any]] = {"http": _Plain, "https": _Tls}


class Connection(httplib2.Http):  # type: ignore[misc]
    """httplib2's, of which each call has a new one: between two looks at a database a server has closed it long ago."""

    def __init__(self) -> None:
        super().__init__(timeout=TIMEOUT_SECONDS)

    def request(self, uri: str, *arguments: Any, **named: Any) -> Any:
        return super().request(uri, *arguments, **{**named, "connection_type": _TYPES[urlsplit(uri).scheme]})

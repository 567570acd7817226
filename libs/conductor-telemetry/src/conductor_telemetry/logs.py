"""Logs to standard error, for people (``console``) or for machines (``json``, one object per line), with trace ids.

What looks like a credential is masked on the way out: the last line of defence, for nothing should bring one here.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace

from conductor_model.redaction import redact


class _Redacting(logging.Formatter):
    """Redacts what is said, not who says it: ``conductor_secrets_writer.handle: …`` is no secret."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = redact(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return redact(super().formatException(ei))


class _Json(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            entry["trace_id"] = f"{span.trace_id:032x}"
            entry["span_id"] = f"{span.span_id:016x}"
        if record.exc_info:
            entry["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


class _TraceSuffix(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        span = trace.get_current_span().get_span_context()
        record.trace = f" [{span.trace_id:032x}]" if span.is_valid else ""
        return True


def configure(service: str, *, form: str, level: str) -> None:
    """Send all logs to standard error. Raises ValueError for an unknown form or level."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(_Json(service))
    elif form == "console":
        handler.addFilter(_TraceSuffix())
        handler.setFormatter(_Redacting("%(asctime)s %(levelname)-7s %(name)s: %(message)s%(trace)s"))
    else:
        raise ValueError(f"CONDUCTOR_LOG_FORMAT is {form!r}; it can be json or console")
    if level.upper() not in logging.getLevelNamesMapping():
        raise ValueError(f"CONDUCTOR_LOG_LEVEL is {level!r}; it can be debug, info, warning or error")
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These tell of every request; what matters of them is told by their callers.
    for noisy in ("aiohttp.access", "botocore", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

"""Durations as Kubernetes users write them: ``30s``, ``5m``, ``1h30m``; a bare number is seconds."""

from __future__ import annotations

import re

_PARTS = re.compile(r"^(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?$")


def parse_duration(text: str) -> float:
    """In seconds. Raises ValueError unless it is a positive duration."""
    parts = _PARTS.match(text.strip())
    seconds = 0.0
    if parts is not None:
        hours, minutes, rest = (float(parts[unit] or 0) for unit in "hms")
        seconds = hours * 3600 + minutes * 60 + rest
    if seconds <= 0:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 1h30m")
    return seconds

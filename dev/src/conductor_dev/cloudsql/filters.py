"""The filter expressions of list methods: ``state:RUNNABLE settings.userLabels.team:web``.

Terms with a colon or an equals sign, joined by spaces or AND: what the methods' reference describes, but for OR.
"""

from __future__ import annotations

import re
from typing import Any

from conductor_dev.cloudsql.refusals import invalid

_TERM = re.compile(r"(?P<path>[A-Za-z][\w.-]*)(?P<operator>[:=])(?P<value>\"[^\"]*\"|\S+)")


def matches(resource: dict[str, Any], expression: str) -> bool:
    """Raises Refusal for what is no filter."""
    return all(_holds(resource, term) for term in expression.split() if term != "AND")


def _holds(resource: dict[str, Any], term: str) -> bool:
    parsed = _TERM.fullmatch(term)
    if parsed is None:
        raise invalid(f"The filter's term ({term}) is not valid.")
    found: Any = resource
    for name in parsed["path"].split("."):
        found = found.get(name) if isinstance(found, dict) else None
    wanted = parsed["value"].strip('"')
    if wanted == "*":
        return found is not None
    text = str(found).lower() if isinstance(found, bool) else str(found)
    return found is not None and text == wanted

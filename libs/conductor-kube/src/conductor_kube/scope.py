"""Which part of a cluster an installation sees: all of it, or certain namespaces."""

from __future__ import annotations

from collections.abc import Mapping

Namespaces = tuple[str, ...]


def watched_namespaces(environ: Mapping[str, str]) -> Namespaces | None:
    """Those of ``CONDUCTOR_WATCH_NAMESPACES``, with commas between them, each once; None: all."""
    named = (each.strip() for each in environ.get("CONDUCTOR_WATCH_NAMESPACES", "").split(","))
    return tuple(dict.fromkeys(each for each in named if each)) or None

"""JSON that is not nested too deeply to be read. Pure.

The API server takes objects that are nested ten thousand levels deep, wherever a schema lets anything be. Python's
parser gives up at its recursion limit of about a thousand and pydantic's at two hundred, in ways that nobody expects.
"""

from __future__ import annotations

import re

DEEPEST = 100
"""Levels; nothing that Conductor understands has more than twenty."""
CUT = b'"(nested too deeply to be read)"'
"""What stands in the place of what is nested deeper."""

_LONGEST_UNSEEN = 190
"""So many levels pydantic reads: what has no more brackets need not be looked at."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def shallow(data: bytes) -> bytes:
    """The same JSON, with what is nested deeper than `DEEPEST` levels replaced by a text that says so."""
    if data.count(b"{") + data.count(b"[") <= _LONGEST_UNSEEN:
        return data
    kept: list[bytes] = []
    depth = begin = 0
    for token in _TOKEN.finditer(data):
        match data[token.start()]:
            case 0x7B | 0x5B:
                depth += 1
                if depth == DEEPEST + 1:
                    kept += (data[begin : token.start()], CUT)
            case 0x7D | 0x5D:
                if depth == DEEPEST + 1:
                    begin = token.end()
                depth -= 1
    return b"".join((*kept, data[begin:])) if kept else data

"""Takes what looks like a secret out of a text that somebody will read: a log line, a dead letter's reason.

The belt, not the braces: nothing that holds a secret should come here in the first place. It knows credentials in
URLs, ``password=…`` and its like in any notation, bearer tokens, JSON web tokens, AWS keys, PEM keys, and the
``input_value=…`` with which pydantic quotes what it refused.
"""

from __future__ import annotations

import re

MASK = "[redacted]"

_GUARDED = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|authorization|api[_-]?key|access[_-]?key|private[_-]?key)"
    r"[\w.-]*"
)
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:bearer|basic)\s+\S+|[^\s,;&}\])]+)"""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]*@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(rf"""(["']?{_GUARDED}["']?\s*[:=]\s*){_VALUE}""", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"(\binput_value=).*?(?=, input_type=|\])", re.DOTALL), rf"\1{MASK}"),
)


def redact(text: str) -> str:
    """The text with what looks like secrets masked."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text

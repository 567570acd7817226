"""Takes what looks like a secret out of a text that somebody will read: a log line, a dead letter's reason.

The belt, not the braces: nothing that holds a secret should come here in the first place. It knows credentials in
URLs, ``password=…`` and its like in any notation, bearer tokens, JSON web tokens, AWS keys, PEM keys, and the
``input_value=…`` with which pydantic quotes what it refused.
"""

from __future__ import annotations

import re

MASK = "[redacted]"

_WORD = r"[\w.-]"
_GUARDED = (
    rf"(?<!{_WORD})(?!\A(?:conductor-)?secrets-writer: )"
    rf"(?>{_WORD}*?(?:passw(?:or)?d|passphrase|secret|token|credential|authorization|api[_-]?key|access[_-]?key"
    rf"|private[_-]?key){_WORD}*)"
)
"""The name of a value that is secret; a text that begins with the service of such a name is what that service says."""
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:bearer|basic)\s+\S+|[^\s,;&}\])]+)"""

# Texts may be long and hostile. Each pattern goes over them once: what could begin anywhere in a word begins at its
# start only, what was taken is not given back (``++``, ``(?>…)``), and what has no end extends to the text's.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*+-----.*?(?:-----END [A-Z ]*+-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"((?<![\w+.-])[\d+.-]*+[a-z][a-z0-9+.-]*+://)[^\s/@]*+@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(rf"""(["']?{_GUARDED}["']?\s*+[:=]\s*+){_VALUE}""", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(bearer|basic)\s++[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"(?<![\w-])(?>[\w-]*?eyJ[\w-]+)\.[\w-]++\.[\w-]*+"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"(\binput_value=).*?(?=, input_type=|\]|\Z)", re.DOTALL), rf"\1{MASK}"),
)


def redact(text: str) -> str:
    """The text with what looks like secrets masked."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text

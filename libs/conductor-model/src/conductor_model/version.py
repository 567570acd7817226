"""Versions of engines, and constraints on them.

An ``EngineVersion`` is what a cloud calls a version: ``8.0.35-rds.20231101``, ``MYSQL_5_7``, ``16.3-R2``. Its
numbers say which version of the engine it is; what follows them tells one cloud's builds of it apart.
Constraints look at the numbers only, by the rules of PEP 440's version specifiers, with one addition: a bare
``5.7`` admits every 5.7.x.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache, total_ordering
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from conductor_model.admission import Rule, rules

MAX_LENGTH = 128
"""The longest text that is read as a version or as a constraint."""

VERSION_PATTERN = (
    r"^([A-Za-z]+_)?[0-9]{1,9}([._][0-9]{1,9}){0,5}([-+][A-Za-z0-9._+-]+|[._]?[A-Za-z][A-Za-z0-9._+-]*)?$"
)
"""What an engine version looks like, in the regular expressions that Python and RE2 share."""

_NUMBERS = r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}"
_CLAUSE = rf"((>=|<=|>|<) *{_NUMBERS}|~= *[0-9]{{1,9}}(\.[0-9]{{1,9}}){{1,5}}|((==|!=) *)?{_NUMBERS}(\.\*)?)"
CONSTRAINT_PATTERN = rf"^ *{_CLAUSE}( *, *{_CLAUSE})* *$"
"""What a constraint looks like, in the regular expressions that Python and RE2 share."""

CONSTRAINT_HELP = 'write ">= 5.6", "5.7" (every 5.7.x), ">= 5.6, < 8", "~= 8.0", "== 8.0.*" or "!= 5.7.1"'

_VERSION = re.compile(VERSION_PATTERN)
_CONSTRAINT = re.compile(CONSTRAINT_PATTERN)
_EXACT = re.compile(rf" *(== *)?(?P<numbers>{_NUMBERS})(\.\*)? *")
_PARTS = re.compile(r"^(?:[a-z]+_)?(?P<release>[0-9]+(?:[._][0-9]+)*)[-.+_]?(?P<build>.*)$")
_PRE_RELEASE = re.compile(r"^(alpha|beta|dev|rc|preview|pre)([^a-z]|$)")

_Order = tuple[tuple[int, ...], int, tuple[tuple[int, str], ...]]


@total_ordering
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EngineVersion:
    """The numbers of an engine's version, and the name of a cloud's build of it. ``5.7`` equals ``5.7.0``."""

    release: tuple[int, ...]
    build: str = ""

    @classmethod
    def parse(cls, value: str | int | float | EngineVersion) -> EngineVersion:
        """Read a version; a number is what YAML makes of an unquoted 5.9. Raises ValueError."""
        if isinstance(value, EngineVersion):
            return value
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{value!r} is not an engine version such as 5.7 or 8.0.35")
        return _parse_version(str(value).strip())

    @property
    def _order(self) -> _Order:
        return _order_of(self.release, self.build)

    @property
    def is_pre_release(self) -> bool:
        return _PRE_RELEASE.match(self.build) is not None

    def __str__(self) -> str:
        numbers = ".".join(map(str, self.release))
        return f"{numbers}-{self.build}" if self.build else numbers

    def __repr__(self) -> str:
        return f"EngineVersion({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return self._order == other._order if isinstance(other, EngineVersion) else NotImplemented

    def __lt__(self, other: EngineVersion) -> bool:
        return self._order < other._order if isinstance(other, EngineVersion) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._order)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=_AS_TEXT)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "maxLength": MAX_LENGTH, "pattern": VERSION_PATTERN}


@dataclass(frozen=True, slots=True, repr=False)
class VersionConstraint:
    """Which engine versions are acceptable. Keeps what the user wrote."""

    text: str
    _specifiers: SpecifierSet = field(compare=False)

    @classmethod
    def parse(cls, value: str | VersionConstraint) -> VersionConstraint:
        """Read a constraint. Raises ValueError that says what one looks like."""
        if isinstance(value, VersionConstraint):
            return value
        if not isinstance(value, str) or len(value) > MAX_LENGTH or not _CONSTRAINT.fullmatch(value):
            raise ValueError(f"{str(value)[:MAX_LENGTH]!r} is not a version constraint: {CONSTRAINT_HELP}")
        return cls(value, SpecifierSet(",".join(_specifier(clause.strip()) for clause in value.split(","))))

    def admits(self, version: EngineVersion) -> bool:
        return _admits(self._specifiers, version.release, version.is_pre_release)

    @property
    def exact(self) -> EngineVersion | None:
        """The one version, or release line, that is asked for: ``5.7``, ``== 8.0.35``; None for a range."""
        only = _EXACT.fullmatch(self.text)
        return EngineVersion.parse(only["numbers"]) if only else None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"VersionConstraint({self.text!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=_AS_TEXT)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        rule = Rule(
            f"self.matches(r'{CONSTRAINT_PATTERN}')", f"must be a version constraint: {CONSTRAINT_HELP}"
        )
        return {"type": "string", "maxLength": MAX_LENGTH, **rules(rule)}


_AS_TEXT = core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema())


@lru_cache(maxsize=4096)
def _parse_version(text: str) -> EngineVersion:
    parts = _PARTS.match(text.lower()) if len(text) <= MAX_LENGTH and _VERSION.fullmatch(text) else None
    if parts is None:
        raise ValueError(f"{text[:MAX_LENGTH]!r} is not an engine version such as 5.7, 8.0.35 or MYSQL_5_7")
    return EngineVersion(tuple(map(int, re.split("[._]", parts["release"]))), parts["build"])


@lru_cache(maxsize=4096)
def _order_of(release: tuple[int, ...], build: str) -> _Order:
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    after = 0 if not build else -1 if _PRE_RELEASE.match(build) else 1
    # Runs of digits compare as numbers: build R10 comes after R2.
    runs = tuple(
        (int(run), "") if run.isdigit() else (-1, run) for run in re.findall("[0-9]+|[^0-9]+", build)
    )
    return release, after, runs


def _specifier(clause: str) -> str:
    return clause if clause[0] in "<>=!~" else f"=={clause.removesuffix('.*')}.*"


@lru_cache(maxsize=65536)
def _admits(specifiers: SpecifierSet, release: tuple[int, ...], pre_release: bool) -> bool:
    numbers = ".".join(map(str, release))
    return specifiers.contains(Version(f"{numbers}.dev0" if pre_release else numbers), prereleases=True)

"""Quantities as Kubernetes writes them: ``25Gi``, ``500m``, ``1e3``.

Exact, immutable and totally ordered. Source of the grammar, of the canonical form and of the rounding below
one nano: the documentation of ``resource.Quantity`` in k8s.io/apimachinery. One difference, so that no
precision is lost: a binary quantity that is no whole number is written with a decimal suffix, not rounded up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import ROUND_UP, Context, Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache, total_ordering
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

MAX_LENGTH = 48
"""The longest text that is read as a quantity."""

PATTERN = (
    r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$"
)
"""The grammar, in the regular expressions that Python, RE2 and ECMA 262 share."""

_WHAT = (
    "a quantity is a number and a suffix of n u m k M G T P E, Ki Mi Gi Ti Pi Ei or e<exponent>, such as 25Gi"
)
_PARTS = re.compile(r"^(?P<number>[+-]?[0-9.]+)(?P<suffix>[A-Za-z]{0,2})(?P<exponent>[+-]?[0-9]{1,2})?$")
_GRAMMAR = re.compile(PATTERN)

_NANO = 9
_KIBI = 1024
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {0: "", **{power: suffix for suffix, power in _BINARY.items()}}
_EXACT = Context(prec=200)


class Format(StrEnum):
    """The family of suffixes that a quantity was written with, and is written back with."""

    DECIMAL = "decimal"
    BINARY = "binary"
    EXPONENT = "exponent"


@total_ordering
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Quantity:
    """A quantity. Equal amounts are equal, however they are written: ``1Gi == 1024Mi``."""

    nanos: int
    """The amount in units of 10^-9, the smallest step that there is."""
    format: Format = field(default=Format.DECIMAL)

    @classmethod
    def parse(cls, value: str | int | float | Decimal | Quantity) -> Quantity:
        """Read a quantity; below one nano it is rounded away from zero. Raises ValueError."""
        if isinstance(value, Quantity):
            return value
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise ValueError(f"{value!r} is not a quantity: {_WHAT}")
        text = value if isinstance(value, str) else format(Decimal(str(value)), "f")
        return _parse(text)

    @property
    def value(self) -> Fraction:
        """The exact amount."""
        return Fraction(self.nanos, 10**_NANO)

    def __str__(self) -> str:
        whole, rest = divmod(self.nanos, 10**_NANO)
        if self.format is Format.BINARY and rest == 0 and abs(whole) >= _KIBI:
            return _canonical_binary(whole)
        return _canonical_decimal(self.nanos, exponents=self.format is Format.EXPONENT)

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, self.format if self.nanos else other.format)

    def __eq__(self, other: object) -> bool:
        return self.nanos == other.nanos if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos if isinstance(other, Quantity) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.nanos)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"x-kubernetes-int-or-string": True}


@lru_cache(maxsize=4096)
def _parse(text: str) -> Quantity:
    parts = _PARTS.match(text) if len(text) <= MAX_LENGTH and _GRAMMAR.fullmatch(text) else None
    if parts is None:
        raise ValueError(f"{text[:MAX_LENGTH]!r} is not a quantity: {_WHAT}")
    number, suffix, exponent = Decimal(parts["number"]), parts["suffix"], parts["exponent"]
    if exponent is not None:
        return Quantity(_nanos(number.scaleb(int(exponent), _EXACT)), Format.EXPONENT)
    if suffix in _BINARY:
        return Quantity(_nanos(_EXACT.multiply(number, Decimal(_KIBI ** _BINARY[suffix]))), Format.BINARY)
    return Quantity(_nanos(number.scaleb(_DECIMAL[suffix], _EXACT)))


def _nanos(amount: Decimal) -> int:
    return int(amount.scaleb(_NANO, _EXACT).to_integral_value(ROUND_UP))


@lru_cache(maxsize=4096)
def _canonical_binary(whole: int) -> str:
    power = 0
    while power < max(_BINARY_SUFFIX) and whole % _KIBI == 0:
        whole, power = whole // _KIBI, power + 1
    return f"{whole}{_BINARY_SUFFIX[power]}"


def _canonical_decimal(nanos: int, *, exponents: bool) -> str:
    if nanos == 0:
        return "0"
    exponent = -_NANO
    while nanos % 1000 == 0 and (exponents or exponent < max(_DECIMAL_SUFFIX)):
        nanos, exponent = nanos // 1000, exponent + 3
    if exponents:
        return f"{nanos}e{exponent}" if exponent else f"{nanos}"
    return f"{nanos}{_DECIMAL_SUFFIX[exponent]}"

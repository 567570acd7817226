"""Capacity: named quantities, asked for by claims and offered by concrete resources and classes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from conductor_model.admission import Rule, rules
from conductor_model.quantity import MAX_LENGTH, PATTERN, Quantity

_NAME = r"^[A-Za-z][-A-Za-z0-9_.]{0,62}$"
_NAME_RULE = Rule(
    f"self.all(name, name.matches(r'{_NAME}'))",
    "names of capacities are up to 63 letters, digits, '-', '_' and '.', and start with a letter, such as storage",
)
_QUANTITY_RULE = Rule(
    f"type(self) == int || (string(self).matches(r'{PATTERN}') && isQuantity(self))",
    "must be a quantity: a number and a suffix of n u m k M G T P E, Ki Mi Gi Ti Pi Ei or e<exponent>, such as 25Gi",
)
_NOT_NEGATIVE_RULE = Rule(
    "type(self) == int ? self >= 0 : (!isQuantity(self) || !quantity(self).isLessThan(quantity('0')))",
    "must not be negative",
)


def _named(capacity: dict[str, Quantity]) -> dict[str, Quantity]:
    for name, amount in capacity.items():
        if not re.fullmatch(_NAME, name):
            raise ValueError(f"{name[:64]!r}: {_NAME_RULE.message}")
        if amount < Quantity(0):
            raise ValueError(f"{name}: {amount} {_NOT_NEGATIVE_RULE.message}")
    return capacity


Amount = Annotated[
    Quantity,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": MAX_LENGTH,
            **rules(_QUANTITY_RULE, _NOT_NEGATIVE_RULE),
        }
    ),
]
Capacity = Annotated[
    dict[str, Amount],
    Field(max_length=16, json_schema_extra=rules(_NAME_RULE)),
    AfterValidator(_named),
]
"""At most 16 quantities, none negative, by name: ``storage: 25Gi``."""
RecordedCapacity = Annotated[
    dict[
        str,
        Annotated[
            Quantity,
            WithJsonSchema({"x-kubernetes-int-or-string": True, "maxLength": MAX_LENGTH, "pattern": PATTERN}),
        ],
    ],
    Field(max_length=16),
    AfterValidator(_named),
]
"""The same where Conductor writes it, in lists too long for rules about each entry."""

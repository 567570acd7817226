"""Label selectors, as Kubernetes defines them for Pods and for node affinity (``Gt`` and ``Lt``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from conductor_model.admission import Labels, LabelValue, Rule
from conductor_model.meta import Model

_INTEGER = re.compile(r"^[+-]?[0-9]+$")


class Operator(StrEnum):
    """How a label's value relates to a requirement's values."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


class LabelRequirement(Model):
    """One requirement on one label."""

    admission_rules = (
        Rule(
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
            "operators In and NotIn need at least one value",
        ),
        Rule(
            "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0",
            "operators Exists and DoesNotExist take no values",
        ),
        Rule(
            "!(self.operator in ['Gt', 'Lt']) || (has(self.values) && size(self.values) == 1"
            " && self.values[0].matches('^[+-]?[0-9]+$'))",
            "operators Gt and Lt need exactly one value, an integer",
        ),
    )

    key: str = Field(min_length=1, max_length=317, description="The label's name.")
    operator: Operator = Field(description="How the label's value relates to values.")
    values: tuple[LabelValue, ...] = Field(
        (),
        max_length=64,
        description="In and NotIn take one or more, Gt and Lt one integer, Exists and DoesNotExist none.",
    )

    @model_validator(mode="after")
    def _values_fit_the_operator(self) -> Self:
        match self.operator:
            case Operator.IN | Operator.NOT_IN if not self.values:
                raise ValueError(f"{self.key}: {self.operator} needs at least one value")
            case Operator.EXISTS | Operator.DOES_NOT_EXIST if self.values:
                raise ValueError(f"{self.key}: {self.operator} takes no values")
            case Operator.GT | Operator.LT if len(self.values) != 1 or not _INTEGER.fullmatch(self.values[0]):
                raise ValueError(f"{self.key}: {self.operator} needs exactly one integer")
            case _:
                return self

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.GT:
                return (
                    value is not None and bool(_INTEGER.fullmatch(value)) and int(value) > int(self.values[0])
                )
            case Operator.LT:
                return (
                    value is not None and bool(_INTEGER.fullmatch(value)) and int(value) < int(self.values[0])
                )

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS | Operator.DOES_NOT_EXIST:
                return f"{self.key} {self.operator}"
            case Operator.GT | Operator.LT:
                return f"{self.key} {self.operator} {self.values[0]}"
            case _:
                return f"{self.key} {self.operator} [{', '.join(self.values)}]"


class LabelSelector(Model):
    """Requirements on labels, all of which must hold. An empty selector matches everything."""

    match_labels: Labels = Field(default_factory=dict, description="Labels with exactly these values.")
    match_expressions: tuple[LabelRequirement, ...] = Field(
        (), max_length=32, description="Further requirements on labels."
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        return self.unmet(labels) is None

    def unmet(self, labels: Mapping[str, str]) -> str | None:
        """The first requirement that fails, to be shown to a person, or None when all hold."""
        for key, value in self.match_labels.items():
            if labels.get(key) != value:
                return f"{key} = {value}"
        for requirement in self.match_expressions:
            if not requirement.matches(labels):
                return str(requirement)
        return None

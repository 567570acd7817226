"""Conditions, by the Kubernetes API conventions ("Typical status properties").

One writer per condition: these functions replace the one condition that they are given.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from conductor_model.admission import list_map
from conductor_model.meta import Model

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Model):
    """One observation about an object, such as ``Ready``."""

    type: str = Field(max_length=316, description="What is observed, such as Ready.")
    status: ConditionStatus = Field(description="Whether it holds.")
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why, in one CamelCase word for programs.",
    )
    message: str = Field("", max_length=32768, description="Why, and what to do about it, for people.")
    last_transition_time: datetime | None = Field(None, description="When status last changed.")
    observed_generation: int | None = Field(None, description="The metadata.generation that this is about.")


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))]
"""An object's conditions, at most one of each type."""


def with_condition(conditions: tuple[Condition, ...], new: Condition, now: datetime) -> tuple[Condition, ...]:
    """The conditions with ``new`` in the place of its namesake, or at the end.

    ``lastTransitionTime`` becomes ``now``, in whole seconds as Kubernetes writes it, when ``status`` changes;
    otherwise it stays.
    """
    old = condition(conditions, new.type)
    changed = old is None or old.status != new.status or old.last_transition_time is None
    since = now.replace(microsecond=0) if old is None or changed else old.last_transition_time
    dated = new.model_copy(update={"last_transition_time": since})
    if old is None:
        return (*conditions, dated)
    return tuple(dated if each.type == new.type else each for each in conditions)


def condition(conditions: tuple[Condition, ...], type: str) -> Condition | None:
    return next((each for each in conditions if each.type == type), None)


def is_true(conditions: tuple[Condition, ...], type: str) -> bool:
    """Whether the condition is there and holds."""
    found = condition(conditions, type)
    return found is not None and found.status == "True"

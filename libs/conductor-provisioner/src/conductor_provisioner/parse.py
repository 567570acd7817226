"""Reading a concrete resource so that a mistake in its spec is reported on it, and cannot keep it from being deleted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from conductor_model.concrete import Concrete
from conductor_provisioner.outcome import Reason, Synced, out_of_sync

ConcreteT = TypeVar("ConcreteT", bound=Concrete)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[ConcreteT]):
    """An object, and what is wrong with its spec. The fields that are wrong are missing from ``concrete``."""

    concrete: ConcreteT
    problem: Synced | None = None


def parse_concrete(model: type[ConcreteT], data: bytes) -> Parsed[ConcreteT]:
    """Raises ValueError when too little can be read to say on the object what is wrong with it."""
    try:
        return Parsed(model.model_validate_json(data))
    except ValidationError as error:
        fields = {str(each["loc"][1]) for each in error.errors() if _is_spec_field(each["loc"])}
        if not fields:
            raise
        mistakes = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        )
        rest = _without(json.loads(data), fields)
        return Parsed(model.model_validate(rest), out_of_sync(Reason.INVALID_SPEC, mistakes))


def _is_spec_field(location: tuple[int | str, ...]) -> bool:
    return len(location) > 1 and location[0] == "spec"


def _without(document: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    spec = {name: value for name, value in document.get("spec", {}).items() if name not in fields}
    return {**document, "spec": spec}

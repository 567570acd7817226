"""Whose a database or a role is: a mark, written on it, or in a table beside it, as JSON.

PostgreSQL has comments on databases and roles; MySQL has nothing that every version can write on both, so that marks
are rows of a table there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from conductor_provisioner.driver import Owner

_STAGE = "conductor.io/stage"
_ROTATION = "conductor.io/rotation"


class Stage(StrEnum):
    """How far a database of ours has come."""

    MAKING = "making"
    MADE = "made"
    REMOVING = "removing"
    KEPT = "kept"
    """Nobody's now: its object is gone, and its data were to stay. It may be adopted."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The owner's tags, and the stage. One that cannot be read as ours is another's, with no tags."""

    stage: Stage
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, owner: Owner, stage: Stage) -> Mark:
        return cls(stage, owner.tags)

    @classmethod
    def parse(cls, text: str | None) -> Mark | None:
        """None where there is no mark of Conductor's: people write comments, too."""
        try:
            read = json.loads(text or "")
            stage = Stage(read.pop(_STAGE))
        except (ValueError, KeyError, AttributeError, TypeError):
            return None
        return cls(stage, {str(key): str(value) for key, value in read.items()})

    def answering(self, rotation: str | None) -> Mark:
        """The mark of a user whose password was issued for this request."""
        if rotation is None:
            return self
        return Mark(self.stage, {**self.tags, _ROTATION: _digest(rotation)})

    def answers(self, rotation: str) -> bool:
        return self.tags.get(_ROTATION) == _digest(rotation)

    def __str__(self) -> str:
        return json.dumps({**self.tags, _STAGE: self.stage.value}, ensure_ascii=False, sort_keys=True)


def _digest(rotation: str) -> str:
    return hashlib.sha256(rotation.encode()).hexdigest()[:16]

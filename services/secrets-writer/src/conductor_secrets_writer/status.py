"""Writes what the service has to say on a claim: its ``Ready`` condition and ``binding``, and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from conductor_kube import StatusWriter
from conductor_model.claims import Claim, ClaimCondition
from conductor_model.conditions import condition, with_condition
from conductor_model.kinds import BY_GROUP_KIND
from conductor_secrets_writer.decide import Ready


async def write_ready(writer: StatusWriter, claim: Claim, ready: Ready, now: datetime) -> bytes | None:
    """The claim as the API server stored it; None when it says so already.

    Raises ``conductor_kube.KubeError``: ``NotFound`` or ``Conflict`` when the claim is gone or another has its name.
    """
    return await writer.apply_status(
        BY_GROUP_KIND[claim.key.group_kind].type,
        claim.key,
        claim.uid,
        applied(claim, ready, now),
        claim.status.model_dump(mode="json", by_alias=True, exclude_none=True),
        resource_version=claim.metadata.resource_version,
    )


def applied(claim: Claim, ready: Ready, now: datetime) -> dict[str, Any]:
    """The part of the status that is this service's; ``binding`` is None where there must be none."""
    conditions = with_condition(claim.status.conditions, ready.condition(claim), now)
    ours = condition(conditions, ClaimCondition.READY)
    entries = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in (ours,) if each]
    binding = ready.binding.model_dump(mode="json", by_alias=True) if ready.binding is not None else None
    return {"conditions": entries, "binding": binding}

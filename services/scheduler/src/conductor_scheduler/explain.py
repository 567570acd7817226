"""Why a claim has, or would get, what it has: every candidate with its verdict and its scores. Pure.

What is not for the claim's namespace is counted and not named, as on the claim itself; of resources nothing is told but
what they are called and why they do or do not fit: no endpoints, no claims of other namespaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

from conductor_model.claims import Claim
from conductor_scheduler.decide import (
    Bind,
    Decision,
    Keep,
    Provision,
    TakeBack,
    Vanished,
    Wait,
    decide,
    summary,
)
from conductor_scheduler.framework import Candidate, Request
from conductor_scheduler.framework.evaluation import Judge, Verdict
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import View

ROWS = 1000
"""So many candidates are listed, those that fit first; the others are counted."""


def explain(claim: Claim, view: View, policy: Policy) -> dict[str, Any]:
    """The table for a claim, whether the view has it or not, in the API's spelling."""
    profile = policy.profile_for(claim)
    judge = Judge(profile, Request(view.as_read(claim), view))
    decision = decide(claim, view, policy)
    verdicts: list[Verdict] = []
    unnamed = Counter[str]()
    for candidate in _candidates(claim, view):
        barred = judge.barred(candidate.offer)
        if barred is None:
            verdicts.append(judge.verdict(candidate))
        elif claim.spec.resource_name is None:
            unnamed[barred[1].detail] += 1
    fit = sum(1 for verdict in verdicts if verdict.refusal is None)
    # Best first; then those that do not fit, in order.
    verdicts.sort(key=lambda verdict: (verdict.refusal is not None, *verdict.rank))
    chosen = _chosen(decision)
    return {
        "claim": {"kind": claim.kind, "namespace": claim.metadata.namespace, "name": claim.metadata.name},
        "profile": profile.name,
        **_outcome(decision),
        "fit": fit,
        "total": len(verdicts) + sum(unnamed.values()),
        "candidates": [_row(verdict, chosen) for verdict in verdicts[:ROWS]],
        "notListed": max(0, len(verdicts) - ROWS),
        "notNamed": [{"detail": detail, "count": count} for detail, count in sorted(unnamed.items())],
    }


def _candidates(claim: Claim, view: View) -> Iterator[Candidate]:
    if claim.spec.resource_name is not None:
        yield from view.catalog.named(claim.spec.resource_name)
        return
    shelf = view.catalog.shelf(claim.key.group_kind)
    yield from shelf.open
    yield from chain.from_iterable(shelf.full.values())
    yield from view.catalog.from_classes(claim)


def _chosen(decision: Decision) -> tuple[str, str] | None:
    """Namespace and name of what is, or would be, bound or made from."""
    match decision:
        case Bind(concrete=concrete) | Keep(concrete=concrete):
            return concrete.metadata.namespace, concrete.metadata.name
        case Provision(source=source):
            return source.metadata.namespace, source.metadata.name
        case _:
            return None


def _outcome(decision: Decision) -> dict[str, str]:
    match decision:
        case Bind(concrete=concrete, tally=tally):
            return {
                "decision": "Bind",
                "message": f"would be bound to {concrete.metadata.name}: {summary(tally)}",
            }
        case Provision(source=source, tally=tally):
            return {
                "decision": "Provision",
                "message": f"would be provisioned from class {source.metadata.name}: {summary(tally)}",
            }
        case Wait(reason=reason, message=message) | TakeBack(reason=reason, message=message):
            return {"decision": "Wait", "reason": reason, "message": message}
        case Keep(concrete=concrete):
            return {"decision": "Bound", "message": f"is bound to {concrete.metadata.name}"}
        case Vanished(bound=bound):
            return {"decision": "Lost", "message": f"{bound.name}, which it was bound to, is not seen"}


def _row(verdict: Verdict, chosen: tuple[str, str] | None) -> dict[str, Any]:
    key = verdict.candidate.key
    row: dict[str, Any] = {
        "kind": key.group_kind.kind,
        "namespace": key.namespace,
        "name": key.name,
        "exists": verdict.candidate.offer.exists,
        "chosen": chosen == (key.namespace, key.name),
        "fits": verdict.refusal is None,
    }
    if verdict.refusal is not None:
        row |= {
            "plugin": verdict.plugin,
            "reason": verdict.refusal.reason,
            "detail": verdict.refusal.detail,
        }
    else:
        row |= {
            "scores": {name: round(score, 3) for name, score in verdict.scores},
            "total": round(verdict.total, 3),
        }
    return row

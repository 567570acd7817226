"""What to do about a claim. Pure: a view in, a decision out.

Existing free resources come before new ones; then the smallest adequate capacity, the lowest cost, the name. The same
view gives the same decision, in whatever order its objects became known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from conductor_model.claims import BoundResource, Claim
from conductor_model.concrete import ClaimRef, Concrete, ConcreteCondition
from conductor_model.conditions import is_true
from conductor_model.meta import KubeObject, ObjectMeta
from conductor_model.namespaces import AllowedNamespaces, Namespace
from conductor_model.quantity import Quantity
from conductor_model.refs import ObjectKey
from conductor_model.resourceclass import ClassStatus, ResourceClass
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.fit import Offer, Wish, is_full, unavailable, unsuited
from conductor_scheduler.release import finalizers
from conductor_scheduler.template import Draft, TemplateError, claim_ref, draft
from conductor_scheduler.view import Change, View


@dataclass(frozen=True, slots=True)
class Verdict:
    """One candidate's fate."""

    key: ObjectKey
    reason: str | None
    """Why not; None when it fits."""
    named: bool = True
    """Whether the claim's author may learn its name: not of what is not for the claim's namespace, unless the claim
    names it itself."""


@dataclass(frozen=True, slots=True)
class Bind:
    """Commit the claim's reference to an existing resource."""

    concrete: Concrete
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Provision:
    """Make a new resource from a class, bound from the start."""

    source: ResourceClass
    draft: Draft
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing fits now."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Keep:
    """The claim is bound already."""

    concrete: Concrete
    surplus: tuple[Concrete, ...]
    """Further resources that carry the claim's reference: a deposed scheduler's late write. They are let go."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """The claim's status names a resource that no longer carries its reference, or is not there. To be verified."""

    bound: BoundResource


Decision = Bind | Provision | Wait | Keep | Vanished
Candidate = TypeVar("Candidate", Concrete, ResourceClass)


def decide(claim: Claim, view: View, config: SchedulerConfig) -> Decision:
    """The one thing to do about a claim that exists and is not being deleted."""
    bound = view.bound_to(claim.uid)
    if bound:
        keeper = _keeper(claim, bound)
        return Keep(keeper, tuple(concrete for concrete in bound if concrete is not keeper))
    if claim.status.bound_resource is not None:
        return Vanished(claim.status.bound_resource)
    return _schedule(Wish(claim, config), view)


def _keeper(claim: Claim, bound: Sequence[Concrete]) -> Concrete:
    """The one that the claim's status already shows, else the oldest, else the first by name."""
    shown = claim.status.bound_resource

    def rank(concrete: Concrete) -> tuple[bool, str, ObjectKey]:
        created = concrete.metadata.creation_timestamp
        return (
            shown is None or shown.uid != concrete.uid,
            created.isoformat() if created else "~",
            concrete.key,
        )

    return min(bound, key=rank)


def _schedule(wish: Wish, view: View) -> Decision:
    claim, claimant = wish.claim, wish.claim.key
    wanted = claim.spec.resource_name
    verdicts: list[Verdict] = []
    fitting: list[tuple[Concrete, Offer]] = []
    for key, concrete in _in_order(view.concretes):
        if wanted is not None and key.name != wanted:
            continue
        if wanted is None and claimant.group_kind not in concrete.implements:
            continue
        barred = _barred(concrete.spec.allowed_namespaces, key, claimant, view)
        if barred is not None:
            verdicts.append(Verdict(key, barred, named=wanted is not None))
            continue
        reason, offer = _judged(wish, key, concrete, view)
        verdicts.append(Verdict(key, reason))
        if offer is not None:
            fitting.append((concrete, offer))
    verdicts.extend(_unreadable(view, wanted))
    if fitting:
        concrete, _ = min(fitting, key=lambda pair: _rank(wish, pair[1]))
        return Bind(concrete, tuple(verdicts))
    if wanted is not None:
        if not verdicts:
            return Wait("ResourceNotFound", f"resource {wanted} does not exist yet; waiting for it")
        return Wait("ResourceDoesNotFit", _summary(verdicts))

    drafts: list[tuple[ResourceClass, Draft, Offer]] = []
    for key, source in _in_order(view.classes):
        if source.being_deleted:
            continue
        verdict, made = _consider(wish, key, source, view)
        if verdict is not None:
            verdicts.append(verdict)
        if made is not None:
            drafts.append(made)
    if drafts:
        source, made_draft, _ = min(drafts, key=lambda entry: _rank(wish, entry[2]))
        return Provision(source, made_draft, tuple(verdicts))
    if not verdicts:
        return Wait("NothingOffered", f"0/0 fit: no resource or class for {claim.kind} is offered")
    return Wait("NothingFits", _summary(verdicts))


def _judged(
    wish: Wish, key: ObjectKey, concrete: Concrete, view: View
) -> tuple[str, None] | tuple[None, Offer]:
    """Why an existing resource does not fit, or what it offers."""
    claim = wish.claim
    if not wish.explicit and is_full(concrete):
        # Most are. What they would offer is looked at only for a claim that names one.
        return unavailable(concrete, claim.key, claim.uid) or "is taken", None
    try:
        offer = _offer_of(key, concrete, view)
    except ValueError as error:
        return f"cannot be judged: {error}", None
    reason = (
        unsuited(wish, offer) or unavailable(concrete, claim.key, claim.uid) or _unsettled(concrete, view)
    )
    return (None, offer) if reason is None else (reason, None)


def _consider(
    wish: Wish, key: ObjectKey, source: ResourceClass, view: View
) -> tuple[Verdict | None, tuple[ResourceClass, Draft, Offer] | None]:
    claim_kind = wish.claim.key.group_kind
    named = bool(source.supported_resources)
    if named and not source.supports(claim_kind):
        return None, None
    barred = _barred(source.allowed_namespaces, key, wish.claim.key, view)
    if barred is not None:
        return Verdict(key, barred, named=False), None
    try:
        made = draft(wish.claim, source)
    except TemplateError as error:
        return Verdict(key, str(error)), None
    barred = _barred(made.concrete.spec.allowed_namespaces, key, wish.claim.key, view)
    if barred is not None:
        return Verdict(key, barred, named=False), None
    if not named and claim_kind not in made.concrete.implements:
        return None, None
    offer = Offer(
        key=key,
        implements=made.concrete.implements,
        version=made.concrete.offered_version,
        capabilities=source.capabilities,
        capacity=source.capabilities.capacity,
        labels=source.template.metadata.labels,
        class_names=frozenset({source.metadata.name, source.offered_profile}),
        features=made.concrete.features,
    )
    reason = unsuited(wish, offer)
    return Verdict(key, reason), None if reason else (source, made, offer)


def _barred(
    allowed: AllowedNamespaces | None, candidate: ObjectKey, claimant: ObjectKey, view: View
) -> str | None:
    """Why claims of the claimant's namespace may not have it. Asked first: of what is barred nothing else is told."""
    if allowed is None:
        return None
    return allowed.refusal(candidate.namespace, claimant.namespace, view.labels_of(claimant.namespace))


def _in_order(candidates: Mapping[ObjectKey, Candidate]) -> list[tuple[ObjectKey, Candidate]]:
    """By kind, namespace and name. Keys compare field by field in Python; tuples of strings do so in C."""
    return sorted(
        candidates.items(), key=lambda item: (item[0].group_kind.kind, item[0].namespace, item[0].name)
    )


def _unsettled(concrete: Concrete, view: View) -> str | None:
    """What a claim that is not known takes of a shared resource is not known either."""
    for ref in concrete.bound_refs:
        if view.claim_of(ref) is None:
            return "is bound to a claim of which nothing is known yet"
    return None


def _offer_of(key: ObjectKey, concrete: Concrete, view: View) -> Offer:
    """Raises ValueError when the provisioner reports a version that is none."""
    return Offer(
        key=key,
        implements=concrete.implements,
        version=concrete.offered_version,
        capabilities=concrete.spec.capabilities,
        capacity=remaining_capacity(concrete, view),
        labels=concrete.metadata.labels,
        class_names=view.class_names(concrete),
        features=concrete.features,
    )


def remaining_capacity(concrete: Concrete, view: View) -> dict[str, Quantity]:
    """What its bound claims leave of its capacity."""
    left = dict(concrete.spec.capabilities.capacity)
    for ref in concrete.bound_refs:
        claim = view.claim_of(ref)
        if claim is None:
            continue
        for name, taken in claim.spec.requirements.capacity.items():
            if name in left:
                left[name] = left[name] - taken
    return left


def _unreadable(view: View, wanted: str | None) -> Iterable[Verdict]:
    """Candidates that cannot be read are named only when the claim asks for them; their own status says the rest."""
    for key, unreadable in sorted(view.unreadable.items()):
        if key.name == wanted:
            yield Verdict(key, f"is not valid: {unreadable.problem}")


def _rank(wish: Wish, offer: Offer) -> tuple[Fraction, Decimal, ObjectKey]:
    """Best first: the least capacity beyond what is asked for, the lowest cost, the name."""
    wanted = wish.claim.spec.requirements.capacity
    surplus = Fraction(0)
    for name, offered in offer.capacity.items():
        if name in wanted and wanted[name].value > 0:
            surplus += Fraction(offered.value) / Fraction(wanted[name].value)
    if not wanted:
        surplus = sum((Fraction(offered.value) for offered in offer.capacity.values()), Fraction(0))
    stated = offer.capabilities.cost
    cost = wish.config.cost_rank(stated) if stated is not None else None
    return surplus, cost if cost is not None else Decimal("Infinity"), offer.key


_SUMMARY_LENGTH = 1024


def _summary(verdicts: Sequence[Verdict]) -> str:
    """ "0/3 fit: rds-small: capacity.storage 20Gi < 25Gi; …", bounded; the same verdicts give the same text."""
    text = f"0/{len(verdicts)} fit"
    entries = reasons(verdicts)
    for index, each in enumerate(entries):
        entry = f"{'; ' if index else ': '}{each}"
        if len(text) + len(entry) > _SUMMARY_LENGTH:
            return f"{text}; and {len(entries) - index} more"
        text += entry
    return text


def reasons(verdicts: Iterable[Verdict]) -> list[str]:
    """What is to be told of those that do not fit; those that are not to be named are counted, by reason."""
    told: list[str] = []
    unnamed = Counter[str]()
    for verdict in verdicts:
        if verdict.reason is None:
            continue
        if verdict.named:
            told.append(f"{verdict.key.name}: {verdict.reason}")
        else:
            unnamed[verdict.reason] += 1
    return told + [f"{count} not named here: {reason}" for reason, count in sorted(unnamed.items())]


def committed(claim: Claim, concrete: Concrete) -> Concrete:
    """The resource as it is once the claim's binding is committed."""
    mine = concrete.ref_of(claim.key)
    ref = ClaimRef.model_validate(claim_ref(claim))
    refs = (*(each for each in concrete.spec.claim_refs if each is not mine), ref)
    spec = concrete.spec.model_copy(update={"claim_refs": refs})
    metadata = concrete.metadata.model_copy(update={"finalizers": finalizers(concrete, refs)})
    return concrete.model_copy(update={"spec": spec, "metadata": metadata})


def helped(change: Change, waiting: Iterable[Claim], view: View) -> list[Claim]:
    """The waiting claims that may find now what they did not find before the change, or wait for another reason.

    A resource that has no room, neither before nor after, helps nobody: with it, each binding would make every waiting
    claim look again. Only the claim that names it is told why it has none.
    """
    if isinstance(change.before or change.after, Namespace):
        relabelled = _labels(change.before) != _labels(change.after)
        inside = (claim for claim in waiting if claim.metadata.namespace == change.key.name)
        return sorted(inside, key=_waiting_since) if relabelled else []
    anybody = _may_help(change, view)
    candidate = not isinstance(change.before or change.after, Claim | ResourceClass)

    def may_be(claim: Claim) -> bool:
        wanted = claim.spec.resource_name
        return anybody if wanted is None or not candidate else wanted == change.key.name

    return sorted((claim for claim in waiting if may_be(claim)), key=_waiting_since)


def _labels(namespace: KubeObject | None) -> dict[str, str] | None:
    return None if namespace is None else namespace.metadata.labels


def _waiting_since(claim: Claim) -> tuple[str, str, str]:
    """Who has waited longest is first."""
    created = claim.metadata.creation_timestamp
    return created.isoformat() if created else "", claim.metadata.namespace, claim.metadata.name


def _may_help(change: Change, view: View) -> bool:
    before, after = change.before, change.after
    if isinstance(before, ResourceClass) or isinstance(after, ResourceClass):
        return _offered(before) != _offered(after)
    if isinstance(before, Claim) or isinstance(after, Claim):
        return _share(before) != _share(after) and any(
            concrete.spec.max_claims > 1
            for side in (before, after)
            if side is not None
            for concrete in view.bound_to(side.uid)
        )
    return _chance(before) != _chance(after)


def _offered(source: KubeObject | None) -> tuple[str, bool, ResourceClass] | None:
    """What a class says but for its status, which is the scheduler's own writing."""
    if not isinstance(source, ResourceClass):
        return None
    said = source.model_copy(update={"metadata": ObjectMeta(), "status": ClassStatus()})
    return source.uid, source.being_deleted, said


def _share(claim: KubeObject | None) -> tuple[str, object] | None:
    """What a claim takes of a resource that it shares."""
    return (claim.uid, claim.spec.requirements.capacity) if isinstance(claim, Claim) else None


def _chance(concrete: KubeObject | None) -> tuple[object, ...] | None:
    """What decides whether one more claim can be bound; None when none can."""
    if not isinstance(concrete, Concrete) or is_full(concrete):
        return None
    ready = is_true(concrete.status.conditions, ConcreteCondition.READY)
    return (
        concrete.uid,
        concrete.metadata.labels,
        concrete.spec,
        concrete.status.engine_version,
        ready,
        None if ready else concrete.status.phase,
    )

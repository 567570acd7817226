"""What to do about a claim. Pure: a view in, a decision out.

Existing free resources come before new ones; then the smallest adequate capacity, the lowest cost, the name. The same
view gives the same decision, in whatever order its objects became known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from conductor_model.claims import BoundResource, Claim, ClaimCondition
from conductor_model.concrete import ClaimRef, Concrete
from conductor_model.conditions import condition, is_true
from conductor_model.kinds import CONCRETE_MODELS
from conductor_model.limitrange import ClaimLimitRange
from conductor_model.meta import KubeObject, ObjectMeta
from conductor_model.refs import ObjectKey
from conductor_model.resourceclass import ClassStatus, ResourceClass
from conductor_scheduler.accounts import overdrawn_by, overdrawn_class
from conductor_scheduler.framework import Candidate, Change, PluginFailed, Refusal, Request
from conductor_scheduler.framework.evaluation import FRAMEWORK, NAMED, Evaluation, Judge, Tally
from conductor_scheduler.framework.precedence import precedence
from conductor_scheduler.framework.profile import Profile
from conductor_scheduler.plugins.class_limits import LIMIT_REACHED
from conductor_scheduler.plugins.nomination import if_it_were_empty
from conductor_scheduler.plugins.quota import EXCEEDED
from conductor_scheduler.plugins.sharing import Sharing, is_full, unavailable
from conductor_scheduler.policy import Policy
from conductor_scheduler.release import finalizers, let_go
from conductor_scheduler.template import Draft, TemplateError, claim_ref, draft
from conductor_scheduler.view import View

SUMMARY_LENGTH = 1024
NEW = timedelta(minutes=10)
"""So long a claim may be without a word of the scheduler's: a status that is empty later than that was lost."""
SHARING = Sharing.name
BINDING_REFUSED, PROVISIONING_REFUSED = "BindingRefused", "ProvisioningRefused"
NOTHING_REFUSED: Mapping[ObjectKey, Refusal] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Bind:
    """Commit the claim's reference to an existing resource."""

    concrete: Concrete
    tally: Tally


@dataclass(frozen=True, slots=True)
class Provision:
    """Make a new resource from a class, bound from the start."""

    source: ResourceClass
    draft: Draft
    tally: Tally


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing fits now."""

    reason: str
    message: str
    refused_by: frozenset[str] = field(default=frozenset(), compare=False)
    """The plugins that refused something."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The claim is bound already."""

    concrete: Concrete
    surplus: tuple[Concrete, ...]
    """Further resources that carry the claim's reference: a deposed scheduler's late write. They are let go."""


@dataclass(frozen=True, slots=True)
class TakeBack:
    """The claim was never told of its binding, and with it more is taken than may be: a deposed scheduler's late write."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """The claim's status names a resource that no longer carries its reference, or is not there. To be verified."""

    bound: BoundResource


Decision = Bind | Provision | Wait | Keep | TakeBack | Vanished


def decide(
    claim: Claim,
    view: View,
    policy: Policy,
    refused: Mapping[ObjectKey, Refusal] = NOTHING_REFUSED,
    *,
    now: datetime | None = None,
) -> Decision:
    """The one thing to do about a claim that exists and is not being deleted.

    ``refused`` are candidates that the API server has refused for this claim: the next best is chosen. Without ``now``
    no claim counts as new. Raises PluginFailed.
    """
    bound = view.bound_to(claim.uid)
    if bound:
        keeper = _keeper(claim, bound)
        if (taken_back := _take_back(claim, keeper, view, policy, now)) is not None:
            return taken_back
        return Keep(keeper, tuple(concrete for concrete in bound if concrete is not keeper))
    if claim.status.bound_resource is not None:
        return Vanished(claim.status.bound_resource)
    return _schedule(claim, view, policy.profile_for(claim), refused)


def _take_back(
    claim: Claim, keeper: Concrete, view: View, policy: Policy, now: datetime | None
) -> TakeBack | None:
    """A binding stands from when it is committed, but for one that nobody was told of, where it breaks a limit.

    A status that says nothing proves nothing: it may have been lost, with somebody's data behind it.
    """
    if was_told(claim) or not (_says_it_waits(claim) or _is_new(claim, now)):
        return None
    reason, told = EXCEEDED, overdrawn_by(claim.uid, view, policy.scales)
    if not told and let_go(keeper, claim).delete:
        reason, told = LIMIT_REACHED, overdrawn_class(keeper, view)
    if not told:
        return None
    message = f"{keeper.metadata.name} was bound too late: {'; '.join(told)}"
    return TakeBack(reason, message[:SUMMARY_LENGTH])


def was_told(claim: Claim) -> bool:
    """Whether the claim has said, or says, that it is bound: from then on somebody may use what it has."""
    status = claim.status
    return (
        status.bound_resource is not None
        or status.binding is not None
        or is_true(status.conditions, ClaimCondition.BOUND)
    )


def _says_it_waits(claim: Claim) -> bool:
    scheduled = condition(claim.status.conditions, ClaimCondition.SCHEDULED)
    return scheduled is not None and scheduled.status == "False"


def _is_new(claim: Claim, now: datetime | None) -> bool:
    created = claim.metadata.creation_timestamp
    return now is not None and created is not None and now - created < NEW


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


def _schedule(claim: Claim, view: View, profile: Profile, refused: Mapping[ObjectKey, Refusal]) -> Decision:
    request = Request(view.as_read(claim), view)
    unknown = sorted(request.claim.spec.requirements.further.keys() - profile.understood)
    if unknown:
        names = ", ".join(f"requirements.{name}" for name in unknown)
        return Wait("UnknownRequirement", f"no enabled plugin understands {names}"[:SUMMARY_LENGTH])
    against = _pre_filter(request, profile)
    if against is not None:
        name, refusal = against
        return Wait(refusal.reason, refusal.detail[:SUMMARY_LENGTH], frozenset({name}))
    evaluation = _evaluate(request, view, profile)
    for candidate in evaluation.ranked():
        if candidate.key in refused:
            evaluation.turn_down(FRAMEWORK, refused[candidate.key], candidate)
            continue
        against = _reserve(request, candidate, profile)
        if against is not None:
            evaluation.turn_down(*against, candidate)
        elif candidate.concrete is not None:
            return Bind(candidate.concrete, evaluation.tally())
        elif candidate.source is not None:
            try:
                made = draft(request.claim, candidate.source)
            except TemplateError as error:
                evaluation.turn_down(FRAMEWORK, Refusal("Unusable", str(error)), candidate)
            else:
                return Provision(candidate.source, made, evaluation.tally())
    return _wait(claim, view, evaluation.tally())


def _pre_filter(request: Request, profile: Profile) -> tuple[str, Refusal] | None:
    for each in profile.pre_filters:
        try:
            refusal = each.plugin.pre_filter(request)
        except Exception as error:
            raise PluginFailed(each.name, error) from error
        if refusal is not None:
            return each.name, refusal
    return None


def _evaluate(request: Request, view: View, profile: Profile) -> Evaluation:
    """Judge what the claim can choose from: the resource that it names, or all of its kind, and the classes."""
    claim, judge = request.claim, Judge(profile, request)
    wanted = claim.spec.resource_name
    if wanted is not None:
        return judge.evaluate_each(view.catalog.named(wanted))
    shelf = view.catalog.shelf(claim.key.group_kind)
    evaluation = judge.evaluate(shelf.open, view.catalog.from_classes(claim))
    for (reason, _), full in shelf.full.items():
        barred = judge.barred(full[0].offer)
        if barred is not None:
            evaluation.bar(*barred, len(full))
        else:
            _count_full(evaluation, reason, full, claim)
    return evaluation


def _count_full(evaluation: Evaluation, reason: str, full: Sequence[Candidate], claim: Claim) -> None:
    """Most resources are full. They are counted, and only the first few are asked why."""
    for candidate in full[:NAMED]:
        assert candidate.concrete is not None  # noqa: S101 - only what exists can be full
        refusal = unavailable(candidate.concrete, claim.key, claim.uid)
        if refusal is not None:
            evaluation.refuse(SHARING, refusal, (candidate,))
    if len(full) > NAMED:
        evaluation.refuse_more(SHARING, reason, len(full) - NAMED)


def _reserve(request: Request, candidate: Candidate, profile: Profile) -> tuple[str, Refusal] | None:
    for each in profile.reserves:
        try:
            refusal = each.plugin.reserve(request, candidate)
        except Exception as error:
            raise PluginFailed(each.name, error) from error
        if refusal is not None:
            return each.name, refusal
    return None


def _wait(claim: Claim, view: View, tally: Tally) -> Wait:
    wanted = claim.spec.resource_name
    if any(reason == EXCEEDED for reason, _ in tally.reasons):
        # Its offer suits the claim: the quota is what there is to do something about.
        return Wait(EXCEEDED, summary(tally), tally.plugins)
    for refused in (PROVISIONING_REFUSED, BINDING_REFUSED):
        if any(reason == refused for reason, _ in tally.reasons):
            # It would have been chosen, so this is what there is to mend.
            return Wait(refused, summary(tally), tally.plugins)
    if wanted is None:
        if not tally.total:
            return Wait(
                "NothingOffered", f"0/0 fit: no resource or class for {claim.kind} is offered", tally.plugins
            )
        return Wait("NothingFits", summary(tally), tally.plugins)
    if tally.total:
        return Wait("ResourceDoesNotFit", summary(tally), tally.plugins)
    # The same whether it is not there, is for other namespaces, or cannot be read: that is not for everybody to know.
    text = f"there is no resource {wanted} for claims of namespace {claim.metadata.namespace}: it does not exist yet, or is"
    return Wait("ResourceNotFound", f"{text} not for them; waiting for it", tally.plugins)


def summary(tally: Tally) -> str:
    """ "0/3 fit: rds-small: capacity.storage 20Gi < 25Gi; …"; of more than a few refused ones first how many for which
    reason: "0/40 fit: 38 InUse, 2 TooSmall; …". Bounded; the same tally gives the same text.
    """
    text = f"{tally.fit}/{tally.total} fit"
    named = [f"{candidate.key.name}: {refusal.detail}" for candidate, refusal in tally.named]
    counts = ", ".join(f"{count} {reason}" for reason, count in tally.reasons)
    refused = sum(count for _, count in tally.reasons)
    parts = [counts, *named] if refused > len(named) else named
    parts += [f"{count} not named here: {why}" for why, count in tally.barred]
    for part in parts:
        entry = f"{': ' if part is parts[0] else '; '}{part}"
        if len(text) + len(entry) > SUMMARY_LENGTH:
            return f"{text}; …"
        text += entry
    return text


def nominated(claim: Claim, view: View, policy: Policy) -> ObjectKey | None:
    """The shared resource whose room is to be kept for a claim that waits: the one that would suit it if nobody had it.

    Of several the one of which it lacks least, and none that is kept for a claim that comes before.
    """
    profile, claim = policy.profile_for(claim), view.as_read(claim)
    request = Request(claim, view)
    if _pre_filter(request, profile) is not None:
        return None  # It may have none, whatever becomes free: a quota that is used up keeps nothing from others.
    judge = Judge(profile, request)
    best: tuple[float, tuple[str, str, str], ObjectKey] | None = None
    for key, candidate in view.catalog.shelf(claim.key.group_kind).shared.items():
        holder = view.claims.get(view.nominations.get(key, claim.key))
        if claim.spec.resource_name not in {None, key.name}:
            continue
        if holder is not None and holder.key != claim.key and precedence(holder) < precedence(claim):
            continue
        empty = if_it_were_empty(candidate)
        if empty is None or judge.verdict(empty).refusal is not None:
            continue
        rank = (-_had(claim, candidate), candidate.order, key)
        best = rank if best is None else min(best, rank)
    return best[2] if best is not None else None


def _had(claim: Claim, candidate: Candidate) -> float:
    """The share that is there already of what is asked for, of the name of which there is least."""
    left = candidate.offer.capacity
    asked = claim.spec.requirements.capacity.items()
    shares = [left[name].nanos / wanted.nanos for name, wanted in asked if name in left and wanted.nanos > 0]
    return min(shares, default=1.0)


def committed(claim: Claim, concrete: Concrete) -> Concrete:
    """The resource as it is once the binding of the claim as it is read is committed."""
    mine = concrete.ref_of(claim.key)
    ref = ClaimRef.model_validate(claim_ref(claim))
    refs = (*(each for each in concrete.spec.claim_refs if each is not mine), ref)
    spec = concrete.spec.model_copy(update={"claim_refs": refs})
    metadata = concrete.metadata.model_copy(update={"finalizers": finalizers(concrete, refs)})
    return concrete.model_copy(update={"spec": spec, "metadata": metadata})


def helped(
    change: Change, waiting: Mapping[ObjectKey, frozenset[str]], view: View, policy: Policy
) -> list[Claim]:
    """The waiting claims that may find now what they did not find before, or wait for another reason, first come first.

    ``waiting`` says for each claim which plugins refused it something. A class concerns everybody whose kind it may
    serve. A resource that has room concerns those whom it fits now, or does not fit for another reason than before; one
    that has none only the claim that names it. A limit range concerns all of its namespace, whose claims are read under
    it. What else changed concerns whom a plugin that refused it says.
    """
    altered = view.catalog.changes()
    classes = _offered(change.before) != _offered(change.after)
    reread = change.key.namespace if _range(change.before) != _range(change.after) else None
    found = []
    for key, refused_by in waiting.items():
        claim = view.claims.get(key)
        if claim is None:
            continue
        profile = policy.profile_for(claim)
        if (
            (classes and claim.spec.resource_name is None)
            or (claim.spec.resource_name == change.key.name and change.key.group_kind in CONCRETE_MODELS)
            or claim.metadata.namespace == reread
            or _told_by_plugins(change, claim, refused_by, altered, view, profile)
        ):
            found.append(claim)
    return sorted(found, key=precedence)


def _told_by_plugins(
    change: Change,
    claim: Claim,
    refused_by: frozenset[str],
    altered: Sequence[tuple[Candidate | None, Candidate | None]],
    view: View,
    profile: Profile,
) -> bool:
    """Whether a plugin says that the change may help, or fails: a third party's mistake about one claim must not keep the
    view from taking in what it hears. The claim's own decision then meets it, where it delays that claim only.
    """
    hints = (profile.hints[name] for name in refused_by if name in profile.hints)
    try:
        return _concerned(claim, altered, view, profile) or any(
            hint.may_help(change, claim, view) for hint in hints
        )
    except Exception:  # whatever happens in a third party's plugin
        return True


def _concerned(
    claim: Claim, altered: Sequence[tuple[Candidate | None, Candidate | None]], view: View, profile: Profile
) -> bool:
    judge: Judge | None = None
    for before, after in altered:
        if after is None or after.concrete is None or is_full(after.concrete):
            continue
        if claim.spec.resource_name not in {None, after.key.name}:
            continue
        judge = judge or Judge(profile, Request(view.as_read(claim), view))
        now = judge.verdict(after).refusal
        if now is None or (before is not None and judge.verdict(before).refusal != now):
            return True
    return False


def _range(found: KubeObject | None) -> object:
    return found.spec if isinstance(found, ClaimLimitRange) else None


def _offered(source: KubeObject | None) -> tuple[str, bool, ResourceClass] | None:
    """What a class says but for its status, which is the scheduler's own writing."""
    if not isinstance(source, ResourceClass):
        return None
    said = source.model_copy(update={"metadata": ObjectMeta(), "status": ClassStatus()})
    return source.uid, source.being_deleted, said

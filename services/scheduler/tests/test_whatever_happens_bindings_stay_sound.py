"""Random lives of claims, resources and classes keep the promises, whatever the scheduler hears, loses and forgets.

The API server is modelled: it keeps the truth, and refuses a write that was made on another version. The scheduler's
view hears of changes late, twice and in any order; an answer to a write, or the write itself, may be lost; a write may be
made long after its sender has given it up, or was deposed; and the scheduler may start anew. The promises are about what
the API server has. After whatever people do the scheduler has a turn, which follows from a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conductor_model.annotations import AVAILABLE_AGAIN, CLASS_LABEL, IN_USE_FINALIZER
from conductor_model.claims import BoundResource, Claim, Requirements
from conductor_model.concrete import Concrete
from conductor_model.databases import MySQLInstance
from conductor_model.meta import KubeObject
from conductor_model.quota import ClaimQuota
from conductor_model.rds import RDSInstance
from conductor_model.refs import ObjectKey
from conductor_model.resourceclass import ResourceClass
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Keep, Provision, TakeBack, Wait, committed, decide, nominated
from conductor_scheduler.plugins.sharing import is_full, unavailable
from conductor_scheduler.policy import Policy
from conductor_scheduler.release import Rewrite, let_go, orphaned_refs, release, rewritten, unfinished
from conductor_scheduler.view import View

POLICY = Policy(SchedulerConfig())
NOW = datetime(2026, 11, 21, tzinfo=UTC)
NAMES = st.sampled_from("abcd")
SIZES = st.sampled_from(["5Gi", "20Gi", "50Gi"])
WANTED = st.sampled_from([None, None, None, "a", "b"])
TOLD, ANSWER_LOST, WRITE_LOST, LATE = "told", "answer lost", "write lost", "made late"
OUTCOMES = (TOLD, TOLD, TOLD, TOLD, ANSWER_LOST, WRITE_LOST, LATE)
TURNS = st.integers(0, 2**16)


def manifest(group: str, kind: str, name: str, uid: str, **body: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": uid}
    return {"apiVersion": f"{group}.conductor.io/v1alpha1", "kind": kind, "metadata": metadata, **body}


class Refused(Exception):
    """The API server does not make a write: another version is there, or another object of that name."""


class ApiServer:
    """What there is. ``news`` is what the bus has not told yet: of each object the last version, None for one gone."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, KubeObject] = {}
        self.news: dict[ObjectKey, KubeObject | None] = {}
        self.history: list[KubeObject] = []
        """All that was ever told of."""
        self._versions = count(1)

    def replace(self, found: KubeObject) -> None:
        """By whoever need not look: a new object, or the administrator's."""
        version = str(next(self._versions))
        metadata = found.metadata.model_copy(update={"resource_version": version})
        stored = found.model_copy(update={"metadata": metadata})
        if stored.being_deleted and not stored.metadata.finalizers:
            self._remove(stored.key)
        else:
            self.objects[stored.key] = self.news[stored.key] = stored
            self.history.append(stored)

    def create(self, found: KubeObject) -> None:
        if found.key in self.objects:
            raise Refused
        self.replace(found)

    def update(self, found: KubeObject) -> None:
        there = self.objects.get(found.key)
        if there is None or there.metadata.resource_version != found.metadata.resource_version:
            raise Refused
        self.replace(found)

    def delete(self, key: ObjectKey) -> None:
        """What has finalizers stays, marked."""
        found = self.objects[key]
        if not found.metadata.finalizers:
            self._remove(key)
        elif not found.being_deleted:
            metadata = found.metadata.model_copy(update={"deletion_timestamp": NOW})
            self.replace(found.model_copy(update={"metadata": metadata}))

    def _remove(self, key: ObjectKey) -> None:
        del self.objects[key]
        self.news[key] = None

    @property
    def claims(self) -> list[MySQLInstance]:
        return [each for each in self.objects.values() if isinstance(each, MySQLInstance)]

    @property
    def concretes(self) -> list[Concrete]:
        return [each for each in self.objects.values() if isinstance(each, Concrete)]


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.api, self.view = ApiServer(), View()
        self.uids = count(1)
        self.late: list[Callable[[], None]] = []
        """Writes that are on their way, and that their sender does not wait for any more."""
        self.doubted: set[ObjectKey] = set()
        """Resources that a write to was sent, and nothing is known of its outcome."""
        self.unsure: dict[str, ObjectKey] = {}
        """Claim's uid -> the resource that may or may not have been made for it."""

    # What people do.

    @rule(name=NAMES, size=SIZES, wanted=WANTED, priority=st.integers(0, 2), then=TURNS)
    def create_claim(self, name: str, size: str, wanted: str | None, priority: int, then: int) -> None:
        """Also in the place of an earlier one, which is then gone."""
        asked = {"capacity": {"storage": size}}
        spec = {"requirements": asked, "resourceName": wanted, "priority": priority}
        uid = f"claim-{next(self.uids)}"
        self.api.replace(
            MySQLInstance.model_validate(manifest("storage", "MySQLInstance", name, uid, spec=spec))
        )
        self.turn(then)

    @rule(
        name=NAMES,
        size=SIZES,
        places=st.integers(1, 3),
        ready=st.sampled_from([True, True, True, False]),
        policy=st.sampled_from(["Retain", "Delete"]),
        reserved=WANTED,
        then=TURNS,
    )
    def offer(
        self, name: str, size: str, places: int, ready: bool, policy: str, reserved: str | None, then: int
    ) -> None:
        """Where there is none of that name: the API server would refuse a second one."""
        if any(each.metadata.name == name for each in self.api.concretes):
            return
        refs = [{"kind": "MySQLInstance", "namespace": "ns", "name": reserved}] if reserved else []
        spec = {
            "engine": "mysql",
            "instance-type": "db.t3.small",
            "capabilities": {"capacity": {"storage": size}},
            "maxClaims": places,
            "rebindPolicy": policy,
            "claimRefs": refs,
        }
        status = {"conditions": [{"type": "Ready", "status": str(ready), "reason": "X"}]}
        uid = f"rds-{next(self.uids)}"
        body = manifest("database.aws", "RDSInstance", name, uid, spec=spec, status=status)
        self.api.create(RDSInstance.model_validate(body))
        self.turn(then)

    @rule(size=SIZES, most=st.none() | st.integers(0, 2), then=TURNS)
    def offer_class(self, size: str, most: int | None, then: int) -> None:
        offered = manifest(
            "core",
            "ResourceClass",
            "class",
            f"class-{next(self.uids)}",
            capabilities={"capacity": {"storage": size}},
            rebindPolicy="Delete",
            limits=None if most is None else {"instances": most},
            template={
                "apiVersion": "database.aws.conductor.io/v1alpha1",
                "kind": "RDSInstance",
                "spec": {"engine": "mysql", "instance-type": "db.t3.small"},
            },
        )
        self.api.replace(ResourceClass.model_validate(offered))
        self.turn(then)

    @rule(claims=st.integers(1, 4), size=st.sampled_from(["40Gi", "100Gi", "200Gi"]), then=TURNS)
    def limit(self, claims: int, size: str, then: int) -> None:
        spec = {"hard": {"claims": claims, "capacity": {"storage": size}}}
        uid = f"quota-{next(self.uids)}"
        self.api.replace(ClaimQuota.model_validate(manifest("core", "ClaimQuota", "quota", uid, spec=spec)))
        self.turn(then)

    @rule(then=TURNS)
    def lift_the_limit(self, then: int) -> None:
        for key in [key for key, found in self.api.objects.items() if isinstance(found, ClaimQuota)]:
            self.api.delete(key)
        self.turn(then)

    @precondition(lambda self: self.api.claims)
    @rule(data=st.data(), then=TURNS)
    def delete_claim(self, data: st.DataObject, then: int) -> None:
        self.api.delete(one(data, self.api.claims).key)
        self.turn(then)

    @precondition(lambda self: self.api.concretes)
    @rule(data=st.data(), then=TURNS)
    def delete_resource(self, data: st.DataObject, then: int) -> None:
        self.api.delete(one(data, self.api.concretes).key)
        self.turn(then)

    @precondition(lambda self: self.api.concretes)
    @rule(data=st.data(), then=TURNS)
    def confirm_clean(self, data: st.DataObject, then: int) -> None:
        """For whoever is in its references, be it too early."""
        concrete = one(data, self.api.concretes)
        uids = ",".join(ref.uid for ref in concrete.spec.claim_refs if ref.uid)
        metadata = concrete.metadata.model_copy(update={"annotations": {AVAILABLE_AGAIN: uids}})
        self.api.replace(concrete.model_copy(update={"metadata": metadata}))
        self.turn(then)

    @rule(then=TURNS)
    def take_down(self, then: int) -> None:
        """What is being deleted and in nobody's use any more is gone."""
        for concrete in self.api.concretes:
            if concrete.being_deleted and IN_USE_FINALIZER not in concrete.metadata.finalizers:
                metadata = concrete.metadata.model_copy(update={"finalizers": ()})
                self.api.replace(concrete.model_copy(update={"metadata": metadata}))
        self.turn(then)

    # What the scheduler hears, and what it forgets.

    def turn(self, number: int) -> None:
        """The scheduler hears of some of what has happened, and does some of what follows, each in some order."""
        chance = Random(number)
        news = shuffled(self.api.news, chance)
        for key in news[: chance.choice([len(news), len(news), len(news) // 2])]:
            self.hear_of(key)
        for old in chance.sample(self.api.history, min(2, len(self.api.history))):
            if old.key in self.view.held():
                self.observe(self.view, old)
        if chance.random() < 0.5:
            self.find_out()
        if chance.random() < 0.3:
            self.the_late_arrives()
        for key in shuffled(self.view.claims, chance):
            if key in self.view.claims:
                self.settle(self.view.claims[key], chance)
        if chance.random() < 0.5:
            self.settle_references()
            self.finish()
        if chance.random() < 0.2:
            self.start_anew(chance)

    def the_late_arrives(self) -> None:
        """From whoever sent it, and whatever has happened since."""
        late, self.late = self.late, []
        for write in late:
            with suppress(Refused):
                write()

    def hear_of(self, key: ObjectKey) -> None:
        found = self.api.news.pop(key)
        if found is None:
            self.view.forget(key)
        else:
            self.observe(self.view, found)

    def refresh(self, key: ObjectKey) -> None:
        found = self.api.objects.get(key)
        if found is None:
            self.view.forget(key)
        else:
            self.observe(self.view, found)

    @staticmethod
    def observe(view: View, found: KubeObject) -> None:
        view.observe(found.key, found.model_dump_json(by_alias=True, exclude_none=True).encode())

    def start_anew(self, chance: Random) -> None:
        """From what the API server lists, in any order, with nothing that was known before."""
        view = View()
        for key in shuffled(self.api.objects, chance):
            self.observe(view, self.api.objects[key])
        if not (self.api.news or self.doubted or self.unsure):
            for claim in view.claims.values():
                assert said(claim, view) == said(claim, self.view), "another history, another decision"
        self.view, self.doubted, self.unsure = view, set(), {}

    @rule(then=TURNS)
    def nothing(self, then: int) -> None:
        self.turn(then)

    @rule()
    def all_comes_to_rest(self) -> None:
        """The scheduler hears of everything, knows what came of what it did, and loses nothing any more."""
        self.the_late_arrives()
        self.find_out()
        for _ in range(20):
            for key in sorted(self.api.news):
                self.hear_of(key)
            for key in sorted(self.view.claims):
                if key in self.view.claims:
                    self.settle(self.view.claims[key], None)
            self.settle_references()
            self.finish()
            if not self.api.news:
                break
        else:
            raise AssertionError("it does not come to rest")
        for claim in self.api.claims:
            assert len(self.resources_of(claim)) == told(claim)

    # What the scheduler does.

    def find_out(self) -> None:
        """What came of the writes of whose outcome nothing is known."""
        for key in sorted(self.doubted):
            self.refresh(key)
            self.view.withdraw(key)
        self.doubted.clear()
        for uid in list(self.unsure):
            self.find_out_what_was_made(uid)

    def find_out_what_was_made(self, uid: str) -> None:
        self.refresh(self.unsure.pop(uid))
        self.view.end_reservation(uid)

    def settle(self, claim: Claim, chance: Random | None) -> None:
        if claim.uid in self.unsure:
            self.find_out_what_was_made(claim.uid)
        while not any(self.view.is_assumed(each.key) for each in self.view.bound_to(claim.uid)):
            current = self.view.claims.get(claim.key)
            if current is None or current.uid != claim.uid or not self.carry_out_decision(current, chance):
                return

    def carry_out_decision(self, claim: Claim, chance: Random | None) -> bool:
        """Whether another decision follows at once. ``chance`` decides what becomes of each write; None: it is made."""
        assert said(claim, self.view) == said(claim, self.view)
        decision = decide(claim, self.view, POLICY)
        for key in [key for key, nominee in self.view.nominations.items() if nominee == claim.key]:
            del self.view.nominations[key]
        match decision:
            case Bind(concrete=concrete):
                wanted = committed(claim, concrete)
                self.view.assume(wanted)
                if self.write(lambda: self.bind(wanted), chance):
                    self.refresh(concrete.key)
                    self.its_author_thinks_again(claim, chance)
                    self.tell(claim, self.view.concretes[concrete.key], chance)
                else:
                    self.doubted.add(concrete.key)
            case Provision(draft=draft):
                self.view.reserve(claim.uid, draft.concrete)
                self.unsure[claim.uid] = draft.key
                if self.write(lambda: self.make(draft.concrete), chance):
                    self.find_out_what_was_made(claim.uid)
                    self.tell(claim, self.view.concretes[draft.key], chance)
            case Keep(concrete=concrete, surplus=surplus):
                self.let_go_of(surplus, claim)
                self.tell(claim, concrete, chance)
            case TakeBack():
                if self.tell(claim, None, chance):
                    self.let_go_of(self.view.bound_to(claim.uid), claim)
                    return True
            case Wait():
                if (wanted_by := nominated(claim, self.view, POLICY)) is not None:
                    self.view.nominations[wanted_by] = claim.key
            case _:
                pass
        return False

    def its_author_thinks_again(self, claim: Claim, chance: Random | None) -> None:
        """While the claim is being bound, before it is told."""
        there = self.api.objects.get(claim.key)
        if chance is None or chance.random() < 0.7 or not isinstance(there, Claim) or told(there):
            return
        asked = Requirements.model_validate({"capacity": {"storage": chance.choice(["5Gi", "20Gi", "50Gi"])}})
        self.api.replace(
            there.model_copy(update={"spec": there.spec.model_copy(update={"requirements": asked})})
        )

    def let_go_of(self, surplus: Iterable[Concrete], claim: Claim) -> None:
        for each in surplus:
            assert not tells_of(self.api.objects.get(claim.key), each), "what a claim was told of is its own"
            self.carry_out(each, let_go(each, claim))

    def tell(self, claim: Claim, concrete: Concrete | None, chance: Random | None) -> bool:
        """The claim's status, where it does not say so already. False: another has written on the claim, or nobody knows."""
        shown = None if concrete is None else place(concrete)
        if claim.status.bound_resource == shown and concrete is not None:
            return True
        status = claim.status.model_copy(update={"bound_resource": shown})
        written = claim.model_copy(update={"status": status})
        decided = self.limited()

        def write() -> None:
            before = self.limited()
            self.api.update(written)
            for name, (taken, most) in self.limited().items():
                # Lowering a limit meanwhile takes nothing away.
                allowed = max(most, before[name][0], decided.get(name, (0, most))[1])
                assert taken <= allowed, f"{name}: took more than there may be"

        made = self.write(write, chance)
        self.refresh(claim.key)
        return made

    def write(self, make: Callable[[], None], chance: Random | None) -> bool:
        """Whether the scheduler knows that it was made. Who is not told may have sent it twice."""
        outcome = TOLD if chance is None else chance.choice(OUTCOMES)
        if outcome == LATE:
            self.late.append(make)
        if outcome in {WRITE_LOST, LATE}:
            return False
        try:
            make()
            if outcome == ANSWER_LOST:
                make()
        except Refused:
            return False
        return outcome == TOLD

    def bind(self, wanted: Concrete) -> None:
        before = self.api.objects.get(wanted.key)
        self.api.update(wanted)
        assert isinstance(before, Concrete)
        assert not any(ref.released_at for ref in before.spec.claim_refs)
        assert not before.being_deleted

    def make(self, wanted: Concrete) -> None:
        metadata = wanted.metadata.model_copy(update={"uid": f"rds-{next(self.uids)}"})
        self.api.create(wanted.model_copy(update={"metadata": metadata}))

    def settle_references(self) -> None:
        """Nothing is concluded from what was heard: the API server is asked whether the claim is gone."""
        claims = {claim.uid for claim in self.api.claims}
        for concrete in list(self.view.concretes.values()):
            orphaned = frozenset(ref.uid for ref in orphaned_refs(concrete, self.view) if ref.uid)
            if orphaned - claims:
                self.carry_out(concrete, release(concrete, orphaned - claims))

    def finish(self) -> None:
        for concrete in list(self.view.concretes.values()):
            action = unfinished(concrete)
            if action is not None and not self.view.is_assumed(concrete.key):
                self.carry_out(concrete, action)

    def carry_out(self, concrete: Concrete, action: Rewrite) -> None:
        written = rewritten(concrete, action, NOW)
        try:
            self.api.update(written)
            if action.delete and not written.being_deleted:
                assert written.spec.rebind_policy == "Delete"
                assert not written.bound_refs
                self.api.delete(written.key)
        except Refused:
            pass
        self.refresh(written.key)

    # What is promised.

    def limited(self) -> dict[str, tuple[int, int]]:
        """What claims were told that they have, and may have, by the limits that the scheduler knows: counted here, not
        by what is tested.
        """
        figures = {}
        having = [
            (claim, ref, concrete)
            for claim in self.api.claims
            for concrete in self.api.concretes
            for ref in concrete.bound_refs
            if ref.uid == claim.uid and tells_of(claim, concrete)
        ]
        storage = [(ref.capacity or {})["storage"].nanos for _, ref, _ in having]
        for quota in self.view.quotas.values():
            hard = quota.spec.hard
            figures["claims"] = (len(having), hard.claims or 0)
            figures["storage"] = (sum(storage), hard.capacity["storage"].nanos)
        for source in self.view.classes.values():
            made = [each for _, _, each in having if CLASS_LABEL in each.metadata.labels]
            most = source.limits.instances if source.limits is not None else None
            figures["instances"] = (len(made), 1_000 if most is None else most)
        return figures

    def resources_of(self, claim: Claim) -> list[Concrete]:
        return [each for each in self.api.concretes if any(ref.uid == claim.uid for ref in each.bound_refs)]

    @invariant()
    def no_resource_has_more_claims_than_places(self) -> None:
        for concrete in self.api.concretes:
            assert len(concrete.bound_refs) <= concrete.spec.max_claims

    @invariant()
    def what_is_bound_is_protected(self) -> None:
        for concrete in self.api.concretes:
            assert not concrete.bound_refs or IN_USE_FINALIZER in concrete.metadata.finalizers

    @invariant()
    def what_a_claim_was_told_of_it_has(self) -> None:
        for claim in filter(told, self.api.claims):
            assert any(tells_of(claim, each) for each in self.resources_of(claim))

    @invariant()
    def a_full_resource_is_free_for_nobody(self) -> None:
        for concrete in filter(is_full, self.api.concretes):
            for claim in self.api.claims:
                if concrete not in self.resources_of(claim):
                    assert unavailable(concrete, claim.key, claim.uid) is not None

    @invariant()
    def nobody_gets_more_than_there_is(self) -> None:
        for concrete in self.api.concretes:
            taken = [(ref.capacity or {})["storage"].value for ref in concrete.bound_refs]
            assert sum(taken) <= concrete.spec.capabilities.capacity["storage"].value


def place(concrete: Concrete) -> BoundResource:
    meta = concrete.metadata
    return BoundResource(
        api_version=concrete.api_version,
        kind=concrete.kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
    )


def told(claim: Claim) -> bool:
    return claim.status.bound_resource is not None


def tells_of(claim: KubeObject | None, concrete: Concrete) -> bool:
    return isinstance(claim, Claim) and claim.status.bound_resource == place(concrete)


def said(claim: Claim, view: View) -> tuple[str, object, object]:
    """A decision, in what must not depend on how the view came about."""
    decision = decide(claim, view, POLICY)
    match decision:
        case Bind(concrete=concrete) | Keep(concrete=concrete):
            chosen: object = concrete.key
        case Provision(draft=draft):
            chosen = draft
        case _:
            chosen = decision
    return type(decision).__name__, chosen, getattr(decision, "tally", None)


def shuffled(keys: Iterable[ObjectKey], chance: Random) -> list[ObjectKey]:
    return chance.sample(found := sorted(keys), len(found))


def one(data: st.DataObject, among: Any) -> Any:
    found = {each.key: each for each in among}
    return found[data.draw(st.sampled_from(sorted(found)))]


TestBindings = World.TestCase
TestBindings.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)

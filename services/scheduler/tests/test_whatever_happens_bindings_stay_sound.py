"""Random lives of claims, resources and classes: decide, assume and release, in any order, keep the promises."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conductor_model.annotations import AVAILABLE_AGAIN, CLASS_LABEL, IN_USE_FINALIZER
from conductor_model.concrete import Concrete
from conductor_model.databases import MySQLInstance
from conductor_model.quota import ClaimQuota
from conductor_model.rds import RDSInstance
from conductor_model.resourceclass import ResourceClass
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, Keep, Provision, committed, decide
from conductor_scheduler.plugins.sharing import is_full, unavailable
from conductor_scheduler.policy import Policy
from conductor_scheduler.release import Rewrite, finalizers, let_go, orphaned_refs, release, unfinished
from conductor_scheduler.view import View

POLICY = Policy(SchedulerConfig())
NOW = datetime(2026, 11, 21, tzinfo=UTC)
NAMES = st.sampled_from("abcd")
SIZES = st.sampled_from(["5Gi", "20Gi", "50Gi"])


def manifest(group: str, kind: str, name: str, uid: str, **body: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": "1"}
    return {"apiVersion": f"{group}.conductor.io/v1alpha1", "kind": kind, "metadata": metadata, **body}


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.view = View()
        self.uids = count(1)
        self.bound: set[str] = set()

    @rule(name=NAMES, size=SIZES, wanted=st.none() | NAMES)
    def create_claim(self, name: str, size: str, wanted: str | None) -> None:
        """Also in the place of an earlier one, which is then gone."""
        claim = MySQLInstance.model_validate(
            manifest(
                "storage",
                "MySQLInstance",
                name,
                f"claim-{next(self.uids)}",
                spec={"requirements": {"capacity": {"storage": size}}, "resourceName": wanted},
            )
        )
        self.view.put(claim.key, claim)

    @rule(
        name=NAMES,
        size=SIZES,
        places=st.integers(1, 3),
        ready=st.booleans(),
        policy=st.sampled_from(["Retain", "Delete"]),
        reserved=st.none() | NAMES,
    )
    def offer(
        self, name: str, size: str, places: int, ready: bool, policy: str, reserved: str | None
    ) -> None:
        """Where there is none of that name: the API server would refuse a second one."""
        refs = [{"kind": "MySQLInstance", "namespace": "ns", "name": reserved}] if reserved else []
        if any(key.name == name for key in self.view.concretes):
            return
        self.put(
            RDSInstance.model_validate(
                manifest(
                    "database.aws",
                    "RDSInstance",
                    name,
                    f"rds-{next(self.uids)}",
                    spec={
                        "engine": "mysql",
                        "instance-type": "db.t3.small",
                        "capabilities": {"capacity": {"storage": size}},
                        "maxClaims": places,
                        "rebindPolicy": policy,
                        "claimRefs": refs,
                    },
                    status={"conditions": [{"type": "Ready", "status": str(ready), "reason": "X"}]},
                )
            )
        )

    @rule(size=SIZES, most=st.none() | st.integers(0, 2))
    def offer_class(self, size: str, most: int | None) -> None:
        offered = manifest(
            "core",
            "ResourceClass",
            "class",
            f"class-{next(self.uids)}",
            capabilities={"capacity": {"storage": size}},
            limits=None if most is None else {"instances": most},
            template={
                "apiVersion": "database.aws.conductor.io/v1alpha1",
                "kind": "RDSInstance",
                "spec": {"engine": "mysql", "instance-type": "db.t3.small"},
            },
        )
        source = ResourceClass.model_validate(offered)
        self.view.put(source.key, source)

    @precondition(lambda self: self.view.claims)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        self.settle_one(self.view.claims[data.draw(st.sampled_from(sorted(self.view.claims)))])

    @precondition(lambda self: self.view.claims)
    @rule()
    def settle_all(self) -> None:
        for _, claim in sorted(self.view.claims.items()):
            self.settle_one(claim)

    def settle_one(self, claim: MySQLInstance) -> None:
        before = self.limited()
        self.carry_out_decision(claim)
        for name, (taken, most) in self.limited().items():
            assert taken <= max(most, before[name][0]), f"{name}: took more than there may be"

    def carry_out_decision(self, claim: MySQLInstance) -> None:
        match decide(claim, self.view, POLICY):
            case Bind(concrete=concrete):
                assert not any(ref.released_at for ref in concrete.spec.claim_refs)
                assert not concrete.being_deleted
                self.put(committed(claim, concrete))
                self.bound.add(claim.uid)
            case Provision(draft=draft):
                metadata = draft.concrete.metadata.model_copy(update={"uid": f"rds-{next(self.uids)}"})
                self.put(draft.concrete.model_copy(update={"metadata": metadata}))
                self.bound.add(claim.uid)
            case Keep(surplus=surplus):
                for each in surplus:
                    self.carry_out(each, let_go(each, claim))

    def limited(self) -> dict[str, tuple[int, int]]:
        """What is taken and may be taken: counted here, not by what is tested."""
        figures = {}
        bound = {ref.uid for each in self.view.concretes.values() for ref in each.bound_refs}
        claims = [claim for claim in self.view.claims.values() if claim.uid in bound]
        storage = [claim.spec.requirements.capacity["storage"].nanos for claim in claims]
        for quota in self.view.quotas.values():
            hard = quota.spec.hard
            figures["claims"] = (len(claims), hard.claims or 0)
            figures["storage"] = (sum(storage), hard.capacity["storage"].nanos)
        for source in self.view.classes.values():
            made = [each for each in self.view.concretes.values() if CLASS_LABEL in each.metadata.labels]
            most = source.limits.instances if source.limits is not None else None
            figures["instances"] = (len(made), 1_000 if most is None else most)
        return figures

    @rule(claims=st.integers(0, 3), size=st.sampled_from(["5Gi", "40Gi", "100Gi"]))
    def limit(self, claims: int, size: str) -> None:
        spec = {"hard": {"claims": claims, "capacity": {"storage": size}}}
        quota = ClaimQuota.model_validate(manifest("core", "ClaimQuota", "quota", "quota", spec=spec))
        self.view.put(quota.key, quota)

    @precondition(lambda self: self.view.quotas)
    @rule()
    def lift_the_limit(self) -> None:
        self.view.forget(next(iter(self.view.quotas)))

    @precondition(lambda self: self.view.claims)
    @rule(data=st.data())
    def delete_claim(self, data: st.DataObject) -> None:
        self.view.forget(data.draw(st.sampled_from(sorted(self.view.claims))))

    @rule()
    def settle_references(self) -> None:
        for concrete in list(self.view.concretes.values()):
            gone = frozenset(ref.uid for ref in orphaned_refs(concrete, self.view) if ref.uid)
            if gone:
                self.carry_out(concrete, release(concrete, gone))

    @precondition(lambda self: self.view.concretes)
    @rule(data=st.data())
    def confirm_clean(self, data: st.DataObject) -> None:
        """For whoever is in its references, be it too early."""
        concrete = self.view.concretes[data.draw(st.sampled_from(sorted(self.view.concretes)))]
        uids = ",".join(ref.uid for ref in concrete.spec.claim_refs if ref.uid)
        metadata = concrete.metadata.model_copy(update={"annotations": {AVAILABLE_AGAIN: uids}})
        self.put(concrete.model_copy(update={"metadata": metadata}))

    @precondition(lambda self: self.view.concretes)
    @rule(data=st.data())
    def delete_resource(self, data: st.DataObject) -> None:
        self.delete(self.view.concretes[data.draw(st.sampled_from(sorted(self.view.concretes)))])

    @rule()
    def finish(self) -> None:
        for concrete in list(self.view.concretes.values()):
            action = unfinished(concrete)
            if action is not None:
                self.carry_out(concrete, action)

    def carry_out(self, concrete: Concrete, action: Rewrite) -> None:
        refs = tuple(
            ref.model_copy(update={"released_at": NOW}) if ref.uid in action.released else ref
            for ref in action.refs
        )
        annotations = {} if action.drop_confirmation else concrete.metadata.annotations
        update = {"finalizers": finalizers(concrete, refs), "annotations": annotations}
        written = _with_refs(
            concrete.model_copy(update={"metadata": concrete.metadata.model_copy(update=update)}), refs
        )
        self.put(written)
        if written.being_deleted and not written.metadata.finalizers:
            self.view.forget(written.key)
        elif action.delete:
            assert written.spec.rebind_policy == "Delete"
            assert not written.bound_refs
            self.delete(written)

    def delete(self, concrete: Concrete) -> None:
        """As the API server does: what has finalizers stays, marked."""
        if not concrete.metadata.finalizers:
            self.view.forget(concrete.key)
            return
        metadata = concrete.metadata.model_copy(update={"deletion_timestamp": NOW})
        self.put(concrete.model_copy(update={"metadata": metadata}))

    def put(self, concrete: Concrete) -> None:
        self.view.put(concrete.key, concrete)

    @rule(order=st.randoms(use_true_random=False))
    def restart(self, order: Random) -> None:
        """The next leader hears of all that there is, in any order, and decides as the one before it would have."""
        before = self.view
        keys = before.held()
        order.shuffle(keys)
        self.view = View()
        for key in keys:
            found = before.get(key)
            assert found is not None
            self.view.put(key, found)
        for claim in self.view.claims.values():
            assert decide(claim, self.view, POLICY) == decide(claim, before, POLICY)

    @invariant()
    def no_resource_has_more_claims_than_places(self) -> None:
        for concrete in self.view.concretes.values():
            assert len(concrete.bound_refs) <= concrete.spec.max_claims

    @invariant()
    def what_is_bound_is_protected(self) -> None:
        for concrete in self.view.concretes.values():
            assert not concrete.bound_refs or IN_USE_FINALIZER in concrete.metadata.finalizers

    @invariant()
    def a_bound_claim_keeps_its_resource(self) -> None:
        for claim in self.view.claims.values():
            assert claim.uid not in self.bound or self.view.bound_to(claim.uid)

    @invariant()
    def no_claim_is_in_two_resources(self) -> None:
        for claim in self.view.claims.values():
            assert len(self.view.bound_to(claim.uid)) <= 1

    @invariant()
    def a_full_resource_is_free_for_nobody(self) -> None:
        for concrete in self.view.concretes.values():
            for claim in self.view.claims.values():
                if is_full(concrete) and concrete not in self.view.bound_to(claim.uid):
                    assert unavailable(concrete, claim.key, claim.uid) is not None

    @invariant()
    def nobody_gets_more_than_there_is(self) -> None:
        for concrete in self.view.concretes.values():
            claims = [self.view.claim_of(ref) for ref in concrete.bound_refs]
            taken = [
                claim.spec.requirements.capacity["storage"].value for claim in claims if claim is not None
            ]
            assert sum(taken) <= concrete.spec.capabilities.capacity["storage"].value


def _with_refs(concrete: Concrete, refs: Any) -> Concrete:
    return concrete.model_copy(update={"spec": concrete.spec.model_copy(update={"claim_refs": tuple(refs)})})


TestBindings = World.TestCase
TestBindings.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_next_leader_counts_what_is_left_of_a_quota_as_the_one_before_it() -> None:
    """One life that chance seldom leads."""
    life = World()
    life.limit(claims=1, size="100Gi")
    for name in "ab":
        life.offer(name, "50Gi", 1, ready=True, policy="Delete", reserved=None)
        life.create_claim(name, "5Gi", wanted=None)
    life.settle_all()
    life.view.forget(min(life.view.claims))
    life.settle_references()
    life.restart(Random(1))
    (left,) = life.view.claims.values()
    assert isinstance(decide(left, life.view, POLICY), Bind)

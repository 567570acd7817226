"""What developers and administrators do: made up by hypothesis, one act at a time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from conductor_kube import AlreadyExists, NotFound
from conductor_model.annotations import AVAILABLE_AGAIN
from conductor_model.kinds import CLAIM_QUOTA, MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from tests.model.api_server import ApiServer

TEAM, SYSTEM = "team", "system"
DATABASE = {"engine": "mysql", "version": "5.7", "instance-type": "db.t3.small"}


@dataclass(frozen=True, slots=True)
class Claim:
    name: str
    storage: str
    priority: int = 0
    resource: str | None = None

    def carry_out(self, api: ApiServer) -> None:
        spec: dict[str, Any] = {
            "requirements": {"capacity": {"storage": self.storage}},
            "priority": self.priority,
        }
        if self.resource is not None:
            spec["resourceName"] = self.resource
        with suppress(AlreadyExists):
            api.create(MYSQL_INSTANCE, TEAM, {"metadata": {"name": self.name}, "spec": spec})


@dataclass(frozen=True, slots=True)
class Unclaim:
    name: str

    def carry_out(self, api: ApiServer) -> None:
        with suppress(NotFound):
            api.delete(MYSQL_INSTANCE, TEAM, self.name)


@dataclass(frozen=True, slots=True)
class Regret:
    """The claim of this name is made anew, as another claim."""

    name: str
    storage: str

    def carry_out(self, api: ApiServer) -> None:
        Unclaim(self.name).carry_out(api)
        Claim(self.name, self.storage).carry_out(api)


@dataclass(frozen=True, slots=True)
class Grow:
    """The API server refuses it of a claim that was told of a resource."""

    name: str
    storage: str

    def carry_out(self, api: ApiServer) -> None:
        found = api.objects.get((MYSQL_INSTANCE, TEAM, self.name))
        if found is not None and "boundResource" not in found.get("status", {}):
            spec = {"requirements": {"capacity": {"storage": self.storage}}}
            api.merge_patch(MYSQL_INSTANCE, TEAM, self.name, {"spec": spec}, None)


@dataclass(frozen=True, slots=True)
class OfferClass:
    policy: str
    storage: str
    instances: int | None

    def carry_out(self, api: ApiServer) -> None:
        limits = {} if self.instances is None else {"limits": {"instances": self.instances}}
        body = {
            "metadata": {"name": "class"},
            "capabilities": {"capacity": {"storage": self.storage}},
            "rebindPolicy": self.policy,
            "template": {
                "apiVersion": RDS_INSTANCE.gvk.api_version,
                "kind": RDS_INSTANCE.gvk.kind,
                "spec": DATABASE,
            },
            **limits,
        }
        with suppress(AlreadyExists):
            api.create(RESOURCE_CLASS, SYSTEM, body)


@dataclass(frozen=True, slots=True)
class Offer:
    """A resource of the administrator's own."""

    name: str
    policy: str
    storage: str
    places: int
    reserved: str | None = None

    def carry_out(self, api: ApiServer) -> None:
        refs = (
            [{"kind": MYSQL_INSTANCE.gvk.kind, "namespace": TEAM, "name": self.reserved}]
            if self.reserved
            else []
        )
        spec = {
            **DATABASE,
            "capabilities": {"capacity": {"storage": self.storage}},
            "rebindPolicy": self.policy,
            "maxClaims": self.places,
            "claimRefs": refs,
        }
        with suppress(AlreadyExists):
            api.create(RDS_INSTANCE, SYSTEM, {"metadata": {"name": self.name}, "spec": spec})


@dataclass(frozen=True, slots=True)
class Withdraw:
    name: str

    def carry_out(self, api: ApiServer) -> None:
        with suppress(NotFound):
            api.delete(RDS_INSTANCE, SYSTEM, self.name)


@dataclass(frozen=True, slots=True)
class ConfirmClean:
    """Whoever has been there, be it too early."""

    name: str

    def carry_out(self, api: ApiServer) -> None:
        found = api.objects.get((RDS_INSTANCE, SYSTEM, self.name))
        if found is not None:
            uids = ",".join(ref["uid"] for ref in found["spec"].get("claimRefs", []) if "uid" in ref)
            api.merge_patch(
                RDS_INSTANCE, SYSTEM, self.name, {"metadata": {"annotations": {AVAILABLE_AGAIN: uids}}}, None
            )


@dataclass(frozen=True, slots=True)
class Limit:
    """Once and for all, before anything else."""

    claims: int
    storage: str

    def carry_out(self, api: ApiServer) -> None:
        spec = {"hard": {"claims": self.claims, "capacity": {"storage": self.storage}}}
        with suppress(AlreadyExists):
            api.create(CLAIM_QUOTA, TEAM, {"metadata": {"name": "quota"}, "spec": spec})


@dataclass(frozen=True, slots=True)
class Nothing:
    def carry_out(self, api: ApiServer) -> None:
        """A moment passes."""


Act = Claim | Unclaim | Regret | Grow | OfferClass | Offer | Withdraw | ConfirmClean | Nothing

NAMES = st.sampled_from(["a", "b", "c", "d"])
OFFERS = st.sampled_from(["x", "y"])
SIZES = st.sampled_from(["5Gi", "20Gi", "50Gi"])
POLICIES = st.sampled_from(["Delete", "Retain"])
_CLAIM = st.builds(Claim, NAMES, SIZES, st.integers(0, 1), st.sampled_from([None, None, None, None, "x"]))
_CLASS = st.builds(
    OfferClass, POLICIES, st.sampled_from(["20Gi", "50Gi"]), st.sampled_from([None, None, 1, 2])
)
ACTS: st.SearchStrategy[Act] = st.one_of(
    _CLAIM,
    _CLAIM,
    _CLASS,
    st.builds(Offer, OFFERS, POLICIES, SIZES, st.integers(1, 3), st.sampled_from([None, None, "a"])),
    st.builds(Unclaim, NAMES),
    st.builds(Regret, NAMES, SIZES),
    st.builds(Grow, NAMES, SIZES),
    st.builds(Withdraw, OFFERS),
    st.builds(ConfirmClean, OFFERS),
    st.just(Nothing()),
)
LIMITS = st.none() | st.builds(Limit, st.integers(1, 3), st.sampled_from(["20Gi", "100Gi"]))

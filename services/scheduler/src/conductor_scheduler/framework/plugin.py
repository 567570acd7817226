"""What a plugin is: a name, and any of the protocols below.

A filter is asked once per claim for its check, and None means that this claim asks for nothing that the plugin looks at:
the check is then not made at all. An ``OfferFilter`` looks at nothing but the offer, so that equal offers are judged once;
a plugin that looks at the candidate itself, or at the world, is a ``Filter``. The same holds for scores. An attribute
``looks_at``, a tuple of ``Aspect``, promises that nothing else of the offer is looked at: offers that are equal in that much
are then judged together by this plugin, details included. Without it, offers that are equal in everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from conductor_model.claims import Claim
from conductor_scheduler.framework.candidate import Candidate, Offer
from conductor_scheduler.framework.world import Change, World
from conductor_scheduler.scales import Scales


class PluginFailed(Exception):
    """A plugin raised, which it never should; the cause is what it raised. The text is for the claim's author."""

    def __init__(self, plugin: str, cause: Exception) -> None:
        # Not the cause's own text: nobody knows what is in there.
        super().__init__(f"plugin {plugin} failed ({type(cause).__name__})")
        self.plugin = plugin


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a candidate does not suit a claim."""

    reason: str
    """One CamelCase word: refusals are counted by it."""
    detail: str
    """For the claim's author: names the claim's field and both values."""


@dataclass(frozen=True, slots=True)
class Request:
    """A claim that is to be scheduled, and the world at that moment."""

    claim: Claim
    world: World

    @property
    def explicit(self) -> bool:
        """The claim names its resource: what only serves to choose is then not consulted."""
        return self.claim.spec.resource_name is not None


@dataclass(frozen=True, slots=True)
class Setup:
    """What a plugin is made from. A factory raises ValueError for arguments that are none."""

    args: Mapping[str, Any] = field(default_factory=dict)
    scales: Scales = field(default_factory=Scales)


OfferCheck = Callable[[Offer], Refusal | None]
CandidateCheck = Callable[[Candidate], Refusal | None]
OfferRating = Callable[[Offer], float]
CandidateRating = Callable[[Candidate], float]


class Plugin(Protocol):
    """Any plugin."""

    @property
    def name(self) -> str: ...


@runtime_checkable
class PreFilter(Protocol):
    """Judges the claim before any candidate is looked at."""

    def pre_filter(self, request: Request) -> Refusal | None: ...


@runtime_checkable
class Bar(Protocol):
    """Says which candidates are not for the claim's author at all: neither to be had nor to be told of.

    Asked before every filter, and of those that are full too; candidates that it refuses are counted and not named. One
    that the claim names itself is for its author as if it did not exist.
    """

    def bar_offer(self, request: Request) -> OfferCheck | None: ...


@runtime_checkable
class OfferFilter(Protocol):
    """Judges what is offered."""

    def filter_offer(self, request: Request) -> OfferCheck | None: ...


@runtime_checkable
class Filter(Protocol):
    """Judges a candidate by whatever it is, or by what else there is in the world.

    One with an attribute ``unless_vacant = True`` has nothing against vacant candidates, and is not asked about them.
    """

    def filter(self, request: Request) -> CandidateCheck | None: ...


@runtime_checkable
class OfferScore(Protocol):
    """Rates what is offered, 0 to 100; what is outside is cut."""

    def score_offer(self, request: Request) -> OfferRating | None: ...


@runtime_checkable
class Score(Protocol):
    """Rates a candidate, 0 to 100; what is outside is cut."""

    def score(self, request: Request) -> CandidateRating | None: ...


@runtime_checkable
class Reserve(Protocol):
    """Has the last word on the candidate that is chosen; when it refuses, the next best is asked about."""

    def reserve(self, request: Request, candidate: Candidate) -> Refusal | None: ...


@runtime_checkable
class Understands(Protocol):
    """Reads keys of ``requirements`` beyond capacity, region, cost and performance."""

    @property
    def requirement_keys(self) -> frozenset[str]: ...


@runtime_checkable
class Hint(Protocol):
    """Knows what besides candidates can end its refusals: quotas, limits, other claims.

    Asked only about waiting claims that this plugin has refused something. That a candidate has changed needs no hint:
    the filters are asked about it.
    """

    def may_help(self, change: Change, claim: Claim, world: World) -> bool: ...

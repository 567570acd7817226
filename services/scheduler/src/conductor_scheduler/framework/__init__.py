"""The scheduling framework: what a plugin is given, what it may answer, and how the answers become a choice.

In the manner of the Kubernetes scheduler: ``PreFilter`` judges the claim alone, ``Bar``, ``OfferFilter`` and ``Filter`` its
candidates, ``OfferScore`` and ``Score`` rank those that are left (0-100, weighted), ``Reserve`` has the last word on the
one that is chosen. A plugin is an object with a ``name`` and any of these methods; it does no I/O and keeps no state.
"""

from conductor_scheduler.framework.candidate import Aspect, Candidate, Offer
from conductor_scheduler.framework.plugin import (
    Bar,
    CandidateCheck,
    CandidateRating,
    Filter,
    Hint,
    OfferCheck,
    OfferFilter,
    OfferRating,
    OfferScore,
    Plugin,
    PluginFailed,
    PreFilter,
    Refusal,
    Request,
    Reserve,
    Score,
    Setup,
    Understands,
)
from conductor_scheduler.framework.world import Change, World, granted

__all__ = [
    "Aspect",
    "Bar",
    "Candidate",
    "CandidateCheck",
    "CandidateRating",
    "Change",
    "Filter",
    "Hint",
    "Offer",
    "OfferCheck",
    "OfferFilter",
    "OfferRating",
    "OfferScore",
    "Plugin",
    "PluginFailed",
    "PreFilter",
    "Refusal",
    "Request",
    "Reserve",
    "Score",
    "Setup",
    "Understands",
    "World",
    "granted",
]

"""A third party's mistake is that plugin's, whatever it was asked: it is named, and what it raised is not repeated."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import decide
from conductor_scheduler.framework import PluginFailed, Setup
from conductor_scheduler.framework.profile import Profile
from conductor_scheduler.plugins import BUILT_IN
from conductor_scheduler.policy import Policy


def broken(*_):
    raise LookupError("password=hunter2")


def asked_later(*_):
    return broken


WAYS = [
    ("pre_filter", broken),
    ("bar_offer", broken),
    ("bar_offer", asked_later),
    ("filter_offer", broken),
    ("filter_offer", asked_later),
    ("filter", broken),
    ("filter", asked_later),
    ("score_offer", broken),
    ("score_offer", asked_later),
    ("score", broken),
    ("score", asked_later),
    ("reserve", broken),
]


@pytest.mark.parametrize("named", [None, "rds"])
@pytest.mark.parametrize(("method", "fails"), WAYS)
def test_whatever_it_was_asked(method, fails, named, make_claim, make_rds, view_of):
    theirs = SimpleNamespace(name="theirs", **{method: fails})
    ours = [(BUILT_IN[name](Setup()), 1.0) for name in ("namespaces", "kind", "best-fit", "spread")]
    policy = SimpleNamespace(profile_for=lambda _: Profile("with-theirs", [*ours, (theirs, 1.0)]))
    claim = make_claim(resourceName=named)
    with pytest.raises(PluginFailed) as failure:
        decide(claim, view_of(claim, make_rds()), policy)
    assert str(failure.value) == "plugin theirs failed (LookupError)"
    assert isinstance(failure.value.__cause__, LookupError)


def test_one_of_ours_too(make_claim, make_rds, view_of, monkeypatch):
    policy = Policy(SchedulerConfig())
    claim = make_claim(requirements={"region": "eu"})
    (region,) = (each for each in policy.profile_for(claim).offer_filters if each.name == "region")
    monkeypatch.setattr(region.plugin, "filter_offer", asked_later, raising=False)
    with pytest.raises(PluginFailed, match="plugin region failed"):
        decide(claim, view_of(claim, make_rds()), policy)

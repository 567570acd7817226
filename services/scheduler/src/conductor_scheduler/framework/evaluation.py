"""Applies a profile's plugins to the candidates of one claim: who fits, who does not and why, and who is best.

Candidates come in groups of equal offers. The filters that look at offers only are asked once per group, so a thousand
candidates that were made from fifty classes cost fifty judgements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from conductor_scheduler.framework.candidate import Candidate, Offer
from conductor_scheduler.framework.plugin import (
    CandidateCheck,
    CandidateRating,
    OfferCheck,
    OfferRating,
    Refusal,
    Request,
)
from conductor_scheduler.framework.profile import Profile

NAMED = 3
"""So many refused candidates are named in a summary."""
FRAMEWORK = "framework"
"""Who refuses a candidate that no plugin can judge."""
_LARGEST = 100.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One candidate's fate: refused by a plugin, or fitting with its weighted scores."""

    candidate: Candidate
    plugin: str | None = None
    refusal: Refusal | None = None
    scores: tuple[tuple[str, float], ...] = ()
    total: float = 0.0

    @property
    def rank(self) -> tuple[float, tuple[str, str, str]]:
        """Best first; ties break by kind, namespace and name."""
        return -self.total, self.candidate.order


@dataclass(frozen=True, slots=True)
class Tally:
    """How many candidates there were and why they were refused; the same candidates give the same tally."""

    total: int
    fit: int
    reasons: tuple[tuple[str, int], ...]
    """Reason and count: the most frequent first, then by name."""
    named: tuple[tuple[Candidate, Refusal], ...]
    """The first refused ones, in order; of more than ``NAMED`` one for each reason."""

    barred: tuple[tuple[str, int], ...]
    """Of those that are not to be named: why, and how many."""
    plugins: frozenset[str]
    """Those that refused something."""


@dataclass(slots=True)
class Evaluation:
    """The outcome for one claim. ``ranked`` is consumed until a candidate is accepted; ``refuse`` tells of others."""

    total: int = 0
    _fitting: list[tuple[float, Sequence[Candidate]]] = field(default_factory=list)
    _fit: int = 0
    _refused: Counter[str] = field(default_factory=Counter)
    _barred: Counter[str] = field(default_factory=Counter)
    _plugins: set[str] = field(default_factory=set)
    _examples: dict[str, list[tuple[Refusal, Sequence[Candidate]]]] = field(default_factory=dict)

    def ranked(self) -> Iterator[Candidate]:
        """Best first. The first one costs a look at each group; only who asks for more pays for the order."""
        if not self._fitting:
            return
        best = min(self._fitting, key=lambda each: (-each[0], each[1][0].order))[1][0]
        yield best
        rest = [
            (-score, candidate.order, candidate)
            for score, group in self._fitting
            for candidate in group
            if candidate is not best
        ]
        yield from (candidate for _, _, candidate in sorted(rest, key=lambda each: each[:2]))

    def accept(self, score: float, candidates: Sequence[Candidate]) -> None:
        self.total += len(candidates)
        self._fit += len(candidates)
        self._fitting.append((score, candidates))

    def refuse_more(self, plugin: str, reason: str, count: int) -> None:
        """Count candidates of which nothing is to be told."""
        self.total += count
        self._refused[reason] += count
        self._plugins.add(plugin)

    def refuse(self, plugin: str, refusal: Refusal, candidates: Sequence[Candidate]) -> None:
        self.refuse_more(plugin, refusal.reason, len(candidates))
        self._examples.setdefault(refusal.reason, []).append((refusal, candidates))

    def bar(self, plugin: str, refusal: Refusal, count: int) -> None:
        """Count candidates that are not to be named."""
        self.total += count
        self._barred[refusal.detail] += count
        self._plugins.add(plugin)

    def turn_down(self, plugin: str, refusal: Refusal, candidate: Candidate) -> None:
        """A candidate that fitted is refused after all."""
        self.total -= 1
        self._fit -= 1
        self.refuse(plugin, refusal, [candidate])

    def tally(self) -> Tally:
        reasons = sorted(self._refused.items(), key=lambda each: (-each[1], each[0]))
        shown: list[tuple[Candidate, Refusal]] = []
        all_of_them = sum(self._refused.values()) <= NAMED
        for reason, _ in reasons:
            groups = self._examples.get(reason, [])
            if all_of_them:
                shown.extend((candidate, refusal) for refusal, group in groups for candidate in group)
            elif groups:
                refusal, group = min(groups, key=lambda each: each[1][0].order)
                shown.append((group[0], refusal))
        shown.sort(key=lambda example: example[0].order)
        barred = tuple(sorted(self._barred.items()))
        return Tally(self.total, self._fit, tuple(reasons), tuple(shown), barred, frozenset(self._plugins))


class Judge:
    """A profile's plugins, asked for what they have to say about one claim."""

    def __init__(self, profile: Profile, request: Request) -> None:
        self._explicit = request.explicit
        self._bars: list[tuple[str, OfferCheck]] = []
        self._offer_checks: list[tuple[str, OfferCheck]] = []
        self._checks: list[tuple[str, CandidateCheck]] = []
        self._checks_of_vacant: list[tuple[str, CandidateCheck]] = []
        self._offer_ratings: list[tuple[str, float, OfferRating]] = []
        self._ratings: list[tuple[str, float, CandidateRating]] = []
        for bar in profile.bars:
            if (barred := bar.plugin.bar_offer(request)) is not None:
                self._bars.append((bar.name, barred))
        for offer_filter in profile.offer_filters:
            if (offer_check := offer_filter.plugin.filter_offer(request)) is not None:
                self._offer_checks.append((offer_filter.name, offer_check))
        for each in profile.filters:
            if (check := each.plugin.filter(request)) is not None:
                self._checks.append((each.name, check))
                if not getattr(each.plugin, "unless_vacant", False):
                    self._checks_of_vacant.append((each.name, check))
        for offer_score in profile.offer_scores:
            if (offer_rating := offer_score.plugin.score_offer(request)) is not None:
                self._offer_ratings.append((offer_score.name, offer_score.weight, offer_rating))
        for score in profile.scores:
            if (rating := score.plugin.score(request)) is not None:
                self._ratings.append((score.name, score.weight, rating))

    def evaluate(self, groups: Iterable[Sequence[Candidate]]) -> Evaluation:
        """Judge groups of equal offers; each group is in order, not empty, and vacant as a whole or not at all."""
        evaluation = Evaluation()
        for group in groups:
            offer = group[0].offer
            barred = self.barred(offer)
            if barred is not None:
                self._refuse_barred(evaluation, barred, group)
                continue
            against = self._against_offer(offer)
            if against is not None:
                evaluation.refuse(*against, group)
                continue
            fitting = group
            if self._checks_of(group[0]):
                fitting = []
                for candidate in group:
                    found = self._against_candidate(candidate)
                    if found is None:
                        fitting.append(candidate)
                    else:
                        evaluation.refuse(*found, [candidate])
            self._accept(evaluation, offer, fitting)
        return evaluation

    def barred(self, offer: Offer) -> tuple[str, Refusal] | None:
        """Why what is offered is not for the claim's author at all."""
        for name, check in self._bars:
            refusal = check(offer)
            if refusal is not None:
                return name, refusal
        return None

    def verdict(self, candidate: Candidate) -> Verdict:
        """One candidate's fate in full."""
        against = (
            self.barred(candidate.offer)
            or self._against_offer(candidate.offer)
            or self._against_candidate(candidate)
        )
        if against is not None:
            return Verdict(candidate, *against)
        scores = [(name, weight, rating(candidate.offer)) for name, weight, rating in self._offer_ratings]
        scores += [(name, weight, rating(candidate)) for name, weight, rating in self._ratings]
        cut = tuple((name, _cut(score)) for name, _, score in scores)
        return Verdict(candidate, scores=cut, total=sum(weight * _cut(score) for _, weight, score in scores))

    def _checks_of(self, candidate: Candidate) -> list[tuple[str, CandidateCheck]]:
        return self._checks_of_vacant if candidate.vacant else self._checks

    def _accept(self, evaluation: Evaluation, offer: Offer, fitting: Sequence[Candidate]) -> None:
        if not fitting:
            return
        shared = sum(weight * _cut(rating(offer)) for _, weight, rating in self._offer_ratings)
        if not self._ratings:
            evaluation.accept(shared, fitting)
            return
        for candidate in fitting:
            own = sum(weight * _cut(rating(candidate)) for _, weight, rating in self._ratings)
            evaluation.accept(shared + own, [candidate])

    def _refuse_barred(
        self, evaluation: Evaluation, barred: tuple[str, Refusal], group: Sequence[Candidate]
    ) -> None:
        if self._explicit:
            evaluation.refuse(*barred, group)
        else:
            evaluation.bar(*barred, len(group))

    def _against_offer(self, offer: Offer) -> tuple[str, Refusal] | None:
        if offer.defect is not None:
            return FRAMEWORK, Refusal("Unusable", offer.defect)
        for name, check in self._offer_checks:
            refusal = check(offer)
            if refusal is not None:
                return name, refusal
        return None

    def _against_candidate(self, candidate: Candidate) -> tuple[str, Refusal] | None:
        for name, check in self._checks_of(candidate):
            refusal = check(candidate)
            if refusal is not None:
                return name, refusal
        return None


def _cut(score: float) -> float:
    """No number at all counts as 0: one plugin's mistake must not undo the order."""
    return min(score, _LARGEST) if score > 0 else 0.0

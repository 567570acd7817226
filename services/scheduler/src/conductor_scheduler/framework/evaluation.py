"""Applies a profile's plugins to the candidates of one claim: who fits, who does not and why, and who is best.

A filter or score that looks at offers only is asked once for all candidates that are equal in what it looks at: a thousand
candidates in three regions cost the region's filter three judgements, and what it refuses nobody else looks at. The outcome
is the same as asking everyone about each candidate, as ``verdict`` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeVar

from conductor_scheduler.framework.candidate import Aspect, Candidate, Offer
from conductor_scheduler.framework.index import Branch, Index, in_order
from conductor_scheduler.framework.plugin import PluginFailed, Refusal, Request
from conductor_scheduler.framework.profile import Profile

NAMED = 3
"""So many refused candidates are named in a summary."""
FRAMEWORK = "framework"
"""Who refuses a candidate that no plugin can judge."""
_LARGEST = 100.0
_SCORE = itemgetter(0)
Asked = TypeVar("Asked", Offer, Candidate)
Check = tuple[str, Callable[[Asked], Refusal | None]]
"""Whose, and the check."""
Rating = tuple[str, float, Callable[[Asked], float]]
"""Whose, the weight, and the rating."""


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

    _fitting: list[tuple[float, Sequence[Candidate]]] = field(default_factory=list)
    _turned_down: int = 0
    _refusals: list[tuple[str, Refusal, Collection[Candidate]]] = field(default_factory=list)
    _unnamed: list[tuple[str, str, int]] = field(default_factory=list)
    _barred: list[tuple[str, Refusal, int]] = field(default_factory=list)

    def ranked(self) -> Iterator[Candidate]:
        """Best first. The first one costs a look at each group; only who asks for more pays for the order."""
        if not self._fitting:
            return
        most = max(self._fitting, key=_SCORE)[0]
        best = min((group[0] for score, group in self._fitting if score == most), key=in_order)
        yield best
        rest = [
            (-score, candidate.order, candidate)
            for score, group in self._fitting
            for candidate in group
            if candidate is not best
        ]
        yield from (candidate for _, _, candidate in sorted(rest, key=lambda each: each[:2]))

    def accept(self, score: float, candidates: Sequence[Candidate]) -> None:
        """They fit, and none better than the other. They are in order, and at least one."""
        self._fitting.append((score, candidates))

    def refuse_more(self, plugin: str, reason: str, count: int) -> None:
        """Count candidates of which nothing is to be told."""
        self._unnamed.append((plugin, reason, count))

    def refuse(self, plugin: str, refusal: Refusal, candidates: Collection[Candidate]) -> None:
        """At least one."""
        self._refusals.append((plugin, refusal, candidates))

    def bar(self, plugin: str, refusal: Refusal, count: int) -> None:
        """Count candidates that are not to be named, or none of those that are not to be told of at all."""
        self._barred.append((plugin, refusal, count))

    def turn_down(self, plugin: str, refusal: Refusal, candidate: Candidate) -> None:
        """A candidate that fitted is refused after all."""
        self._turned_down += 1
        self.refuse(plugin, refusal, (candidate,))

    def tally(self) -> Tally:
        counts, plugins = Counter[str](), set[str]()
        examples: dict[str, tuple[Candidate, Refusal]] = {}
        for plugin, refusal, group in self._refusals:
            plugins.add(plugin)
            reason = refusal.reason
            counts[reason] += len(group)
            first = _first(group)
            if reason not in examples or first.order < examples[reason][0].order:
                examples[reason] = first, refusal
        for plugin, reason, count in self._unnamed:
            plugins.add(plugin)
            counts[reason] += count
        refused = counts.total()
        if refused <= NAMED:
            shown = [(candidate, refusal) for _, refusal, group in self._refusals for candidate in group]
        else:
            shown = list(examples.values())
        shown.sort(key=lambda example: example[0].order)
        barred = Counter[str]()
        for plugin, refusal, count in self._barred:
            plugins.add(plugin)
            if count:
                barred[refusal.detail] += count
        reasons = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        fit = sum([len(group) for _, group in self._fitting]) - self._turned_down
        return Tally(
            fit + refused + barred.total(),
            fit,
            tuple(reasons),
            tuple(shown),
            tuple(sorted(barred.items())),
            frozenset(plugins),
        )


def _first(group: Collection[Candidate]) -> Candidate:
    return group.first if isinstance(group, Branch) else next(iter(group))


@dataclass(slots=True)
class _Level:
    """What is asked about each branch of one level of a tree."""

    aspects: tuple[Aspect, ...]
    """By which its branches differ."""
    known: frozenset[Aspect]
    """What all below it have in common."""
    bars: list[Check[Offer]] = field(default_factory=list)
    checks: list[Check[Offer]] = field(default_factory=list)
    ratings: list[Rating[Offer]] = field(default_factory=list)


class Judge:
    """A profile's plugins, asked for what they have to say about one claim. Whatever is asked raises PluginFailed."""

    def __init__(self, profile: Profile, request: Request) -> None:
        self._explicit = request.explicit
        self._bars: list[Check[Offer]] = []
        self._offer_checks: list[Check[Offer]] = [(FRAMEWORK, _defect)]
        self._checks: list[Check[Candidate]] = []
        self._checks_of_vacant: list[Check[Candidate]] = []
        self._ratings: list[Rating[Candidate]] = []
        self._tree = [_Level((Aspect.VACANT,), frozenset({Aspect.VACANT}))]
        asked = FRAMEWORK
        try:
            for bar in profile.bars:
                asked = bar.name
                if (barred := bar.plugin.bar_offer(request)) is not None:
                    self._bars.append((asked, barred))
                    self._level(bar.looks_at).bars.append((asked, barred))
            self._level((Aspect.DEFECT,)).checks.append((FRAMEWORK, _defect))
            for offer_filter in profile.offer_filters:
                asked = offer_filter.name
                if (offer_check := offer_filter.plugin.filter_offer(request)) is not None:
                    self._offer_checks.append((asked, offer_check))
                    self._level(offer_filter.looks_at).checks.append((asked, offer_check))
            for each in profile.filters:
                asked = each.name
                if (check := each.plugin.filter(request)) is not None:
                    self._checks.append((asked, check))
                    if not getattr(each.plugin, "unless_vacant", False):
                        self._checks_of_vacant.append((asked, check))
            for offer_score in profile.offer_scores:
                asked = offer_score.name
                if (offer_rating := offer_score.plugin.score_offer(request)) is not None:
                    rating_of = asked, offer_score.weight, offer_rating
                    self._earliest(offer_score.looks_at).ratings.append(rating_of)
            for score in profile.scores:
                asked = score.name
                if (rating := score.plugin.score(request)) is not None:
                    self._ratings.append((asked, score.weight, rating))
        except Exception as error:
            raise PluginFailed(asked, error) from error
        self._asks_each = bool(self._ratings or self._checks_of_vacant)
        self._levels = tuple(level.aspects for level in self._tree)
        self._offer_ratings = [rating for level in self._tree for rating in level.ratings]

    def _level(self, looks_at: tuple[Aspect, ...]) -> _Level:
        """The last level, at which these aspects are known: what is asked first must be asked no later."""
        last = self._tree[-1]
        further = tuple(aspect for aspect in looks_at if aspect not in last.known)
        if further:
            last = _Level(further, last.known.union(further))
            self._tree.append(last)
        return last

    def _earliest(self, looks_at: tuple[Aspect, ...]) -> _Level:
        """The first level at which these aspects are known."""
        return next((level for level in self._tree if level.known.issuperset(looks_at)), None) or self._level(
            looks_at
        )

    def evaluate(self, *indexes: Index) -> Evaluation:
        """Judge all that is in there."""
        evaluation = Evaluation()
        for index in indexes:
            if index:
                self._judge_below(index.by(self._levels), 0, 0.0, evaluation)
        return evaluation

    def _judge_below(self, above: Branch, depth: int, score: float, evaluation: Evaluation) -> None:
        level = self._tree[depth]
        bars, checks, ratings = level.bars, level.checks, level.ratings
        is_last = depth == len(self._tree) - 1
        for branch in above.branches.values():
            offer = branch.offer
            if bars and (barred := _against(offer, bars)) is not None:
                self._refuse_barred(evaluation, barred, branch)
                continue
            if checks and (against := _against(offer, checks)) is not None:
                evaluation.refuse(*against, branch)
                continue
            total = _rated(offer, ratings, score) if ratings else score
            if not is_last:
                self._judge_below(branch, depth + 1, total, evaluation)
            elif self._asks_each or not branch.candidates[0].vacant:
                self._judge_candidates(branch.candidates, total, evaluation)
            else:
                evaluation.accept(total, branch.candidates)

    def _judge_candidates(
        self, candidates: Sequence[Candidate], score: float, evaluation: Evaluation
    ) -> None:
        """Of equal offers, ask what is to be asked about each candidate."""
        for candidate in candidates:
            against = _against(candidate, self._checks_of(candidate))
            if against is not None:
                evaluation.refuse(*against, (candidate,))
            else:
                evaluation.accept(_rated(candidate, self._ratings, score), (candidate,))

    def evaluate_each(self, candidates: Iterable[Candidate]) -> Evaluation:
        """The same of candidates that are in no index, one by one."""
        evaluation = Evaluation()
        for candidate in candidates:
            barred = self.barred(candidate.offer)
            if barred is not None:
                self._refuse_barred(evaluation, barred, (candidate,))
                continue
            verdict = self.verdict(candidate)
            if verdict.plugin is not None and verdict.refusal is not None:
                evaluation.refuse(verdict.plugin, verdict.refusal, (candidate,))
            else:
                evaluation.accept(verdict.total, (candidate,))
        return evaluation

    def barred(self, offer: Offer) -> tuple[str, Refusal] | None:
        """Why what is offered is not for the claim's author at all."""
        return _against(offer, self._bars)

    def verdict(self, candidate: Candidate) -> Verdict:
        """One candidate's fate in full."""
        offer = candidate.offer
        against = self.barred(offer) or _against(offer, self._offer_checks)
        against = against or _against(candidate, self._checks_of(candidate))
        if against is not None:
            return Verdict(candidate, *against)
        scores = _scores(offer, self._offer_ratings) + _scores(candidate, self._ratings)
        total = 0.0
        for _, weight, score in scores:
            total += weight * score
        return Verdict(candidate, scores=tuple((name, score) for name, _, score in scores), total=total)

    def _checks_of(self, candidate: Candidate) -> list[Check[Candidate]]:
        return self._checks_of_vacant if candidate.vacant else self._checks

    def _refuse_barred(
        self, evaluation: Evaluation, barred: tuple[str, Refusal], group: Collection[Candidate]
    ) -> None:
        """Of a resource that the claim names, not even that it is there."""
        evaluation.bar(*barred, 0 if self._explicit else len(group))


def _against(asked: Asked, checks: Iterable[Check[Asked]]) -> tuple[str, Refusal] | None:
    """The first refusal, and whose it is."""
    name = FRAMEWORK
    try:
        for name, check in checks:
            refusal = check(asked)
            if refusal is not None:
                return name, refusal
    except Exception as error:
        raise PluginFailed(name, error) from error
    return None


def _rated(asked: Asked, ratings: Iterable[Rating[Asked]], total: float) -> float:
    """The total with the weighted scores added, in this order: sums of fractions depend on it."""
    name = FRAMEWORK
    try:
        for name, weight, rating in ratings:  # noqa: B007 - who was asked when it failed
            total += weight * _cut(rating(asked))
    except Exception as error:
        raise PluginFailed(name, error) from error
    return total


def _scores(asked: Asked, ratings: Iterable[Rating[Asked]]) -> list[tuple[str, float, float]]:
    """Whose, the weight, and the score."""
    return [(name, weight, _rated(asked, [(name, 1.0, rating)], 0.0)) for name, weight, rating in ratings]


def _defect(offer: Offer) -> Refusal | None:
    return Refusal("Unusable", offer.defect) if offer.defect is not None else None


def _cut(score: float) -> float:
    """No number at all counts as 0: one plugin's mistake must not undo the order."""
    if 0.0 <= score <= _LARGEST:
        return score
    return _LARGEST if score > 0 else 0.0

"""Candidates in trees by what plugins look at: a verdict about a branch is one about all that hangs on it.

A tree has a level for each set of aspects. It is made when a claim first looks at candidates in that way, and kept up to
date from then on: a change costs its own candidate's path.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from conductor_model.refs import ObjectKey
from conductor_scheduler.framework.candidate import Aspect, Candidate, Offer, Traits

Levels = tuple[tuple[Aspect, ...], ...]
"""From the root: by what each level's branches differ."""
_TREES = 16
"""So many ways of looking at the same candidates are kept; the oldest goes."""


class Branch(Collection[Candidate]):
    """Candidates that have the values of all levels above in common; the last level's hold them in order."""

    __slots__ = ("_count", "_first", "branches", "candidates", "offer")

    offer: Offer
    """What each of them offers, as far as the levels down to this one tell it apart; the root has none."""

    def __init__(self, offer: Offer | None = None) -> None:
        if offer is not None:
            self.offer = offer
        self.branches: dict[Hashable, Branch] = {}
        self.candidates: list[Candidate] = []
        self._count = 0
        self._first: Candidate | None = None

    @property
    def first(self) -> Candidate:
        """The first in order of at least one."""
        if self._first is None:
            below = (branch.first for branch in self.branches.values())
            self._first = self.candidates[0] if self.candidates else min(below, key=in_order)
        return self._first

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Candidate]:
        yield from self.candidates
        for branch in self.branches.values():
            yield from branch

    def __contains__(self, candidate: object) -> bool:
        return any(each is candidate for each in self)

    def add(self, candidate: Candidate, path: Sequence[Hashable]) -> None:
        """Hang it on, with its value for each level."""
        branch = self
        branch._counted(candidate)
        for value in path:
            below = branch.branches.get(value)
            if below is None:
                below = branch.branches[value] = Branch(candidate.offer)
            branch = below
            branch._counted(candidate)
        insort(branch.candidates, candidate, key=in_order)

    def remove(self, candidate: Candidate, path: Sequence[Hashable]) -> None:
        """Take it off, and the branches that it was the last one of."""
        branch = self
        branch._discounted(candidate)
        for value in path:
            below = branch.branches[value]
            below._discounted(candidate)
            if not below:
                del branch.branches[value]
                return
            branch = below
        del branch.candidates[bisect_left(branch.candidates, candidate.order, key=in_order)]

    def _counted(self, candidate: Candidate) -> None:
        self._count += 1
        if self._count == 1 or (self._first is not None and candidate.order < self._first.order):
            self._first = candidate

    def _discounted(self, candidate: Candidate) -> None:
        self._count -= 1
        if self._first is candidate:
            self._first = None


class Index:
    """Candidates, and the trees that were asked for."""

    def __init__(self) -> None:
        self._members: dict[ObjectKey, tuple[Candidate, Traits]] = {}
        self._trees: dict[Levels, tuple[Branch, list[Callable[[Traits], Any]]]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Candidate]:
        """In no order."""
        return (candidate for candidate, _ in self._members.values())

    def add(self, candidate: Candidate, traits: Traits) -> None:
        self._members[candidate.key] = candidate, traits
        for tree, values in self._trees.values():
            tree.add(candidate, [value(traits) for value in values])

    def remove(self, key: ObjectKey) -> None:
        candidate, traits = self._members.pop(key)
        for tree, values in self._trees.values():
            tree.remove(candidate, [value(traits) for value in values])

    def by(self, levels: Levels) -> Branch:
        """The tree with these levels."""
        known = self._trees.get(levels)
        if known is None:
            if len(self._trees) >= _TREES:
                del self._trees[next(iter(self._trees))]
            known = self._trees[levels] = Branch(), [itemgetter(*aspects) for aspects in levels]
            tree, values = known
            for candidate, traits in self._members.values():
                tree.add(candidate, [value(traits) for value in values])
        return known[0]


def in_order(candidate: Candidate) -> tuple[str, str, str]:
    return candidate.order

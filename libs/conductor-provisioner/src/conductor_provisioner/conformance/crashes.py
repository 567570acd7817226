"""Checks of what is left when processes die, or answers are lost, at every step of a life and at random ones.

The life is always the same: an object is made, becomes Ready, is changed, settles, is deleted, and is gone; or it is
deleted on the way. However its processes end, there is exactly one external resource before the deletion and none after.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress

from conductor_provisioner.conformance.goals import deleted, either, gone, ready, settled
from conductor_provisioner.conformance.steps import Cut, End, Step
from conductor_provisioner.conformance.subject import NotSimulated, Subject
from conductor_provisioner.conformance.world import World

KILLS_IN_A_LIFE = 6
"""Spread over it, on average: a killed process takes as many steps, on average, as this leaves it."""
LATEST_ARRIVAL = 3
"""Looks: half a minute, which is longer than any driver waits for an answer."""
IN_FLIGHT = ("create", "delete")
"""Methods whose calls, here, may have their effect after their process died. Not an update's: it sets credentials, and
no cloud tells which of two passwords came last."""


async def lost_replies(subject: Subject, lives: int | None) -> str:
    """Each call of a life in turn has its effect and its answer is lost.

    ``lives``: that many of them, evenly spread; None: all.
    """
    steps = await _undisturbed(subject)
    cuts = [
        Cut(number, End.REPLY_LOST) for number, step in enumerate(steps, start=1) if step.where == "cloud"
    ]
    tried = _spread(cuts, lives)
    for cut in tried:
        await _live(subject, [cut])
    return _of(tried, cuts, "calls")


async def crash_points(subject: Subject, lives: int | None) -> str:
    """The process dies after each step of a life, and within each call that makes or removes something.

    Each twice: the life goes on; and the user, too, has had enough, and deletes the object. ``lives``: that many points.
    """
    cuts = list(_all_cuts(await _undisturbed(subject)))
    tried = _spread(cuts, lives)
    for cut in tried:
        await _live(subject, [cut])
        await _live(subject, [cut], deleted_after=1)
    return _of(tried, cuts, "points")


async def repeated_crashes(subject: Subject, chance: random.Random, pairs: int) -> str:
    """The process that comes after a death dies, too, at any step of its own."""
    steps = await _undisturbed(subject)
    cuts, died_twice = list(_all_cuts(steps)), 0
    for _ in range(pairs):
        first = chance.choice(cuts)
        second = _random_cut(chance, len(steps) - first.step + 1)
        died_twice += await _live(subject, [first, second], deleted_after=chance.choice((None, 1, 2))) > 1
    return f"{died_twice} pairs"


async def random_kills(subject: Subject, chance: random.Random, kills: int) -> str:
    """Processes die at random, again and again, in life after life; some objects are deleted after one of the deaths."""
    longest = 2 * len(await _undisturbed(subject)) // KILLS_IN_A_LIFE
    killed = lives = 0
    while killed < kills:
        planned = min(KILLS_IN_A_LIFE, kills - killed)
        cuts = [_random_cut(chance, longest) for _ in range(planned)]
        killed += await _live(subject, cuts, deleted_after=chance.choice((None, *range(1, planned + 1))))
        lives += 1
    return f"{killed} kills in {lives} lives: 0 leaked, 0 doubled"


def _spread(cuts: list[Cut], lives: int | None) -> list[Cut]:
    """So many of them, from the first to the last."""
    if lives is None or lives >= len(cuts):
        return cuts
    return [cuts[number * (len(cuts) - 1) // (lives - 1)] for number in range(lives)]


def _of(tried: list[Cut], all: list[Cut], what: str) -> str:
    return f"{len(tried)} {what}" if len(tried) == len(all) else f"{len(tried)} of {len(all)} {what}"


def _random_cut(chance: random.Random, longest: int) -> Cut:
    end = chance.choice((End.DIES_AFTER, End.DIES_WITHIN))
    return Cut(chance.randint(1, longest), end, arrives_after=chance.randint(0, LATEST_ARRIVAL))


def _all_cuts(steps: list[Step]) -> Iterator[Cut]:
    for number, step in enumerate(steps, start=1):
        yield Cut(number, End.DIES_AFTER)
        if step.where == "cloud" and step.method in IN_FLIGHT:
            for looks in (1, LATEST_ARRIVAL):
                yield Cut(number, End.DIES_WITHIN, arrives_after=looks)


async def _undisturbed(subject: Subject) -> list[Step]:
    """The steps of a life in which nothing happens: where cuts can be."""
    async with World.of(subject) as world:
        await _life(world)
        return list(world.process.steps)


async def _live(subject: Subject, cuts: list[Cut], *, deleted_after: int | None = None) -> int:
    """A life with these cuts, one for each process; how many processes died. ``deleted_after``: so many deaths."""
    async with World.of(subject, cuts=cuts, deleted_after=deleted_after) as world:
        try:
            await _life(world)
        except AssertionError as error:
            deleted = f", deleted after {deleted_after}" if deleted_after else ""
            told = f"with {', then '.join(map(str, cuts))}{deleted}: {error}"
            raise AssertionError(f"{told}\n{world.story()}") from error
        return world.deaths


async def _life(world: World) -> None:
    """From creation to nothing. If the user deletes the object early, straight on to nothing."""
    for towards in (_becomes_ready, _is_changed):
        await towards(world)
        if world.deleted:
            break
        await world.holds_exactly_one()
        with suppress(NotSimulated):  # a check of its own tells that
            await world.its_credentials_open_it()
    world.delete()
    await world.until(gone)
    await world.outlasts_all_calls()
    await world.holds_nothing()


async def _becomes_ready(world: World) -> None:
    await world.until(either(ready, deleted))


async def _is_changed(world: World) -> None:
    world.edit(world.subject.changed)
    await world.until(either(settled, deleted))

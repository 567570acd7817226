"""A plan can be repeated, and leaves no kind of trouble out."""

from __future__ import annotations

from typing import get_args

from plan import KILLS, Claim, Drop, Replace, Step, StripFinalizers, TwoAdmins, draw


def test_the_same_seed_gives_the_same_plan() -> None:
    assert draw(7, kills=50) == draw(7, kills=50)
    assert draw(7, kills=50) != draw(8, kills=50)


def test_a_long_plan_holds_every_kind_of_step() -> None:
    kinds = {type(step) for episode in draw(1, kills=300) for step in episode}
    assert kinds == set(get_args(Step))


def test_it_kills_as_often_as_it_was_asked_to() -> None:
    steps = [step for episode in draw(3, kills=40) for step in episode]
    assert sum(isinstance(step, KILLS) for step in steps) >= 40


def test_only_claims_that_were_made_are_dropped_or_replaced() -> None:
    alive: set[str] = set()
    for episode in draw(5, kills=100):
        for step in episode:
            match step:
                case Claim(name):
                    assert name not in alive
                    alive.add(name)
                case Drop(name):
                    alive.remove(name)
                case Replace(name):
                    assert name in alive
                case _:
                    pass


def test_people_meddle_only_with_what_is_there_before_the_episode_and_after_it() -> None:
    alive: set[str] = set()
    for episode in draw(9, kills=100):
        before, coming = set(alive), {step.name for step in episode if isinstance(step, Claim)}
        going = {step.name for step in episode if isinstance(step, Drop | Replace)}
        alive = (alive | coming) - {step.name for step in episode if isinstance(step, Drop)}
        meddled = {step.claim for step in episode if isinstance(step, TwoAdmins | StripFinalizers)}
        assert meddled <= before - going

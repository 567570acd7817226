"""The soak spares what it measures, and repeats itself."""

from __future__ import annotations

from itertools import islice

import plan
import pytest
import soak
from soak import ALLOWED, MEGABYTE, Measure


@pytest.fixture(scope="module")
def steps() -> list[plan.Step]:
    return [step for steps in islice(soak.rounds(1), 200) for step in steps]


def test_no_part_that_is_measured_is_killed(steps: list[plan.Step]) -> None:
    killed = {step.replica for step in steps if isinstance(step, plan.Kill)}
    assert killed == {plan.REPLICAS - 1}
    assert not any(isinstance(step, plan.KillBus | plan.KillApiServer) for step in steps)


def test_every_service_is_killed_and_frozen_and_its_connections_break(steps: list[plan.Step]) -> None:
    for trouble in (plan.Kill, plan.Freeze, plan.BadNetwork):
        assert {step.service for step in steps if isinstance(step, trouble)} == set(plan.SERVICES)


def test_the_same_seed_gives_the_same_rounds() -> None:
    assert list(islice(soak.rounds(3), 5)) == list(islice(soak.rounds(3), 5))
    assert list(islice(soak.rounds(3), 5)) != list(islice(soak.rounds(4), 5))


def test_each_round_brings_claims_of_its_own() -> None:
    for steps in islice(soak.rounds(1), 20):
        assert any(isinstance(step, plan.Claim) for step in steps)


def test_a_service_that_gains_twenty_megabytes_is_said_to_grow_and_the_stand_in_is_not_judged() -> None:
    samples = [(60.0 * minute, (90 + minute / 2) * MEGABYTE) for minute in range(60)]
    of = {Measure("memory", name): samples for name in ("scheduler", "moto")}
    told = {measure.of: soak.line(measure, found) for measure, found in soak.verdicts(of).items()}
    assert told["scheduler"].endswith("GROWS")
    assert told["moto"].endswith("not judged")


def test_each_thing_that_is_measured_has_its_allowance() -> None:
    assert set(ALLOWED) == {"memory", "files", "messages", "bytes", "objects"}

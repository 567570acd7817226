"""Percentiles, arrivals and verdicts are what they are called."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import report
from benchmarks.figures import (
    Alone,
    Burst,
    Ceiling,
    Decisions,
    Figures,
    Idle,
    Latency,
    Machine,
    Many,
    ProvisionerFigures,
    Round,
    SchedulerFigures,
    Usage,
    percentile,
)
from benchmarks.goals import of_provisioner, of_scheduler, verdicts
from benchmarks.phases import poisson
from benchmarks.provisioner import pace

MACHINE = Machine(
    cores=2, cpu="a CPU", memory=1, system="Linux", versions={}, commit="c", command="", began=""
)


def usage(claims: int, *, writes: float = 9, server: float = 0.02, seconds: float = 1.0) -> Usage:
    cpu = {"kube-apiserver": server * claims, "watcher": 0.001}
    return Usage(
        seconds=seconds,
        writes={"POST secrets": round(writes * claims)},
        reads={},
        cpu=cpu,
        peak_memory=dict.fromkeys(cpu, 1),
        busy=2.0,
    )


def burst(claims: int, per_second: float, *, p50: float = 1.0, **used: float) -> Burst:
    latency = Latency(first=0.1, p50=p50, p90=p50, p99=p50, longest=p50)
    return Burst(claims=claims, seconds=claims / per_second, latency=latency, usage=usage(claims, **used))


def outcomes(**found: object) -> Mapping[str, bool]:
    figures = Figures.model_validate({"machine": MACHINE, "cloud": "", **found})
    return {verdict.goal: verdict.reached for verdict in verdicts(figures)}


def reached(goal: str, **found: object) -> bool:
    [outcome] = [reached for name, reached in outcomes(**found).items() if goal in name]
    return outcome


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 99))
def test_a_percentile_lies_within_what_was_measured(values: list[int], percent: int) -> None:
    assert min(values) <= percentile(values, percent) <= max(values)


def test_half_of_what_was_measured_is_below_the_median_and_one_in_ten_above_p90() -> None:
    values = [float(number) for number in range(101)]
    assert (percentile(values, 50), percentile(values, 90), percentile(values, 99)) == (50, 90, 99)


def test_there_is_no_latency_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Latency.of([], first=0)


def test_arrivals_come_at_their_rate_in_order_and_the_same_in_every_run() -> None:
    moments = list(poisson(30, 60))
    assert moments == list(poisson(30, 60)) == sorted(moments)
    assert 1600 < len(moments) < 2000
    assert moments[-1] < 60


def test_even_the_rarest_arrivals_bring_one_claim() -> None:
    assert list(poisson(0.001, 1)) == [1]


@pytest.mark.parametrize(
    ("per_second", "raw", "fast", "half"), [(40, 80, True, True), (39, 79, False, False)]
)
def test_a_burst_is_held_against_its_goal_and_against_the_raw_ceiling_of_the_same_run(
    per_second: float, raw: float, fast: bool, half: bool
) -> None:
    ceiling = Ceiling(claims=300, writes_per_claim=10, seconds=300 / raw, usage=usage(300))
    found = {"bursts": (burst(300, per_second),), "ceiling": ceiling}
    assert reached("40 claims/s", **found) is fast
    assert reached("raw ceiling", **found) is half


def test_writes_processor_time_and_latency_of_a_burst_have_goals() -> None:
    good, bad = burst(300, 50), burst(300, 50, p50=4.1, writes=10.1, server=0.031)
    for goal in ("p50 <= 4 s", "writes per claim", "kube-apiserver CPU"):
        assert reached(goal, bursts=(good,))
        assert not reached(goal, bursts=(bad,))


@pytest.mark.parametrize(("many", "flat"), [(40, True), (32.1, True), (31, False), (50, False)])
def test_cost_is_flat_when_a_thousand_claims_go_as_fast_as_a_hundred(many: float, flat: bool) -> None:
    assert reached("flat cost", bursts=(burst(100, 40), burst(1000, many))) is flat


def test_one_claim_alone_is_held_against_150_ms() -> None:
    for p50, expected in ((0.15, True), (0.151, False)):
        latency = Latency(first=p50, p50=p50, p90=p50, p99=p50, longest=p50)
        assert reached("alone", alone=Alone(claims=20, latency=latency)) is expected


def test_idleness_is_judged_with_a_thousand_claims_only_by_writes_and_the_worst_service() -> None:
    lazy = usage(0, seconds=60)
    assert outcomes(idle=Idle(claims=999, usage=lazy)) == {}
    assert all(outcomes(idle=Idle(claims=1000, usage=lazy)).values())
    large = {"watcher": 101 * 2**20}
    busy = lazy.model_copy(
        update={"cpu": {"watcher": 0.6}, "writes": {"PATCH secrets": 1}, "peak_memory": large}
    )
    assert not any(outcomes(idle=Idle(claims=1000, usage=busy)).values())


def test_a_goal_that_was_not_measured_is_not_spoken_of() -> None:
    assert outcomes() == {}


def test_figures_are_read_back_as_they_were_written() -> None:
    figures = Figures(machine=MACHINE, cloud="none", bursts=(burst(100, 20),))
    assert Figures.model_validate_json(figures.model_dump_json()) == figures


def test_the_report_holds_a_burst_against_the_ceiling_and_says_what_the_cores_allow() -> None:
    ceiling = Ceiling(claims=300, writes_per_claim=10, seconds=4, usage=usage(300, server=0.01))
    figures = Figures(machine=MACHINE, cloud="", bursts=(burst(300, 30, server=0.02),), ceiling=ceiling)
    told = "\n".join(report.lines(figures))
    assert "burst of 300 / ceiling                0.40   0.50 by the CPU that a claim takes" in told
    assert (
        "a claim takes 20.0 ms of CPU in all, 100% of it kube-apiserver's: 2 cores can make 100 a second"
        in told
    )


def test_the_pace_of_a_round_is_that_of_its_middle() -> None:
    begun_late, steady = [20.0] * 10, [20 + number / 8 for number in range(80)]
    at_the_end_alone = [30 + 2.0 * number for number in range(10)]
    assert pace([*begun_late, *steady, *at_the_end_alone]) == pytest.approx(8, rel=0.02)


def test_batches_do_not_change_the_pace() -> None:
    moments = [2.0 * (number // 16) for number in range(320)]
    assert pace(moments) == pytest.approx(8, rel=0.03)


def test_goals_of_scheduler_and_provisioner_are_held_against_their_figures() -> None:
    used = usage(10)
    for four, expected in ((28.0, True), (27.9, False)):
        rounds = tuple(
            Round(replicas=replicas, resources=10, seconds=1, per_second=pace, usage=used)
            for replicas, pace in ((1, 8.0), (4, four))
        )
        found = ProvisionerFigures(
            machine=MACHINE, call_seconds=1, rounds=rounds, at_once=1, memory=1, threads=1
        )
        assert [each.reached for each in of_provisioner(found)] == [expected]
    for rate, expected in ((1000.0, True), (999.0, False)):
        same, different = (
            Decisions(candidates=1000, offers=offers, classes=1, per_second=per_second, p50=1, p99=1)
            for offers, per_second in ((50, rate), (1000, 1.0))
        )
        found = SchedulerFigures(machine=MACHINE, decisions=(same, different))
        assert [each.reached for each in of_scheduler(found)] == [expected]
    for seconds, megabytes, expected in ((0.5, 300, True), (0.51, 301, False)):
        found = SchedulerFigures(
            machine=MACHINE, waiting=1000, bound_longest=seconds, objects=10_000, memory=megabytes * 2**20
        )
        assert [each.reached for each in of_scheduler(found)] == [expected, expected]


def test_services_that_start_among_many_objects_shall_write_nothing_and_stay_small() -> None:
    small, large = ({"scheduler": size * 2**20} for size in (300, 301))
    assert all(outcomes(many=Many(objects=10_000, writes={}, memory=small)).values())
    assert not any(outcomes(many=Many(objects=10_000, writes={"POST secrets": 1}, memory=large)).values())

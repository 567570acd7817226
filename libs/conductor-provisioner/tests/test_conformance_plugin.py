"""The suite in the hands of an author: a few lines, options, a table, a file."""

from __future__ import annotations

import json

import pytest

from conductor_provisioner.conformance.report import Result, Verdict, document, results_of

pytest_plugins = ["pytester"]

A_SUITE = """
    import pytest
    from conductor_provisioner.conformance import Conformance, NotSimulated, Subject
    from conductor_provisioner.conformance.reference import ShelfDriver, reference

    class SeesNoDrift(ShelfDriver):
        def _seen(self, resource, box, *, applied=False):
            from dataclasses import replace
            return replace(super()._seen(resource, box, applied=applied), drift=())

    class TestRight(Conformance):
        @pytest.fixture
        def subject(self) -> Subject:
            subject = reference()
            async def fault(fault):
                if fault is not None:
                    raise NotSimulated("nothing ever goes wrong here")
            subject.stand_in.fault = fault
            return subject

    class TestWrong(Conformance):
        @pytest.fixture
        async def subject(self) -> Subject:
            return reference(SeesNoDrift, name="blind")
"""


def test_the_report_is_a_table_of_what_holds_what_fails_and_what_was_not_simulated(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(A_SUITE)
    result = pytester.runpytest_inprocess(
        "--asyncio-mode=auto",
        "-k",
        "drift or throttling or random",
        "--conformance-kills=7",
        "--conformance-seed=3",
        "--conformance-report=report.json",
    )

    result.assert_outcomes(passed=4, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*conformance, seed 3*",
            "behaviour * blind * reference",
            "drift * FAILS: colour was altered* holds",
            "throttling * holds * not simulated: nothing ever goes wrong here",
            "random kills * holds: 7 kills * holds: 7 kills in * lives: 0 leaked, 0 doubled",
            "written to report.json",
        ]
    )
    written = json.loads((pytester.path / "report.json").read_text())
    assert "--conformance-seed=3" in written["how"]
    assert {(each["driver"], each["check"]): each["verdict"] for each in written["results"]} == {
        ("reference", "drift"): "holds",
        ("reference", "throttling"): "not simulated",
        ("reference", "random kills"): "holds",
        ("blind", "drift"): "FAILS",
        ("blind", "throttling"): "holds",
        ("blind", "random kills"): "holds",
    }


def test_the_report_as_markdown_says_what_each_check_looks_for(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(A_SUITE)
    pytester.runpytest_inprocess(
        "--asyncio-mode=auto", "-k", "TestWrong and drift", "--conformance-report=docs/report.md"
    )
    written = (pytester.path / "docs" / "report.md").read_text()
    assert "| drift | FAILS: colour was altered, and the drift that observe names is [] |" in written
    assert "- **crash points**: The process dies after each step of a life" in written


def test_a_report_keeps_the_columns_of_drivers_that_were_not_run(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(A_SUITE)
    for chosen in ("drift or throttling", "TestRight and drift"):
        pytester.runpytest_inprocess("--asyncio-mode=auto", "-k", chosen, "--conformance-report=report.md")
    lines = (pytester.path / "report.md").read_text().splitlines()
    assert "| behaviour | blind | reference |" in lines
    assert "| drift | FAILS: colour was altered, and the drift that observe names is [] | holds |" in lines
    assert "| throttling | holds | not run |" in lines


def test_a_table_says_what_went_into_it() -> None:
    results = [
        Result("one", "drift", Verdict.HOLDS),
        Result("one", "outage", Verdict.NOT_SIMULATED, "a | b: c"),
        Result("two", "drift", Verdict.FAILS, "of two things: one"),
    ]
    read = results_of(document(results, {"drift": "It is seen.", "outage": "It is told."}))
    assert sorted(read, key=lambda each: (each.driver, each.check)) == results

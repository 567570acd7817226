"""docs/conformance.md is what the suite wrote, of every driver that Conductor brings along, after 1,000 kills of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from conductor_provisioner.conformance.checks import CHECKS, promise_of
from conductor_provisioner.conformance.report import Result, Verdict, document, results_of

ROOT = Path(__file__).parents[2]
DRIVERS = {
    "CloudSQLInstance",
    "RDSInstance",
    "S3Bucket",
    "SQLDatabase on MariaDB",
    "SQLDatabase on PostgreSQL",
    "filesystem",
}
KILLS = 1000


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def results(text: str) -> list[Result]:
    return results_of(text)


def test_the_page_is_as_the_suite_writes_it(text: str, results: list[Result]) -> None:
    assert text == document(results, {check: promise_of(check) for check in CHECKS})


def test_every_driver_is_told_of_every_behaviour_and_none_fails(results: list[Result]) -> None:
    drivers = {each.driver for each in results}
    assert drivers >= DRIVERS
    assert {(each.driver, each.check) for each in results} == {
        (driver, check) for driver in drivers for check in CHECKS
    }
    assert [each for each in results if each.verdict is Verdict.FAILS] == []


@pytest.mark.parametrize("check", ["lost replies", "crash points"])
def test_every_point_was_tried(results: list[Result], check: str) -> None:
    assert [each for each in results if each.check == check and " of " in each.found] == []


def test_a_thousand_kills_leaked_and_doubled_nothing(results: list[Result]) -> None:
    kills = {each.driver: int(each.found.split()[0]) for each in results if each.check == "random kills"}
    assert all(number >= KILLS for number in kills.values()), kills
    assert all(each.found.endswith("0 leaked, 0 doubled") for each in results if each.check == "random kills")

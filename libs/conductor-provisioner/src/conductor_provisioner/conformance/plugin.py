"""The pytest plugin: options, and the report at the end. pytest loads it by its entry point wherever it is installed.

``--conformance-kills N``, ``--conformance-seed N``, ``--conformance-report FILE.json|FILE.md``.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

import pytest

from conductor_provisioner.conformance.checks import CHECKS, DEFAULT_KILLS, DEFAULT_SEED, Effort, promise_of
from conductor_provisioner.conformance.report import Result, Verdict, aligned, table, write

FOUND = pytest.StashKey[str]()
"""On a test that passed: what its check found worth telling."""
_RESULTS = pytest.StashKey[list[Result]]()
_PROPERTY = "conductor-conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conductor-conformance", "conformance of drivers")
    group.addoption(
        "--conformance-kills",
        type=int,
        metavar="N",
        help=f"how many processes die at random, and every crash point; default {DEFAULT_KILLS}, and samples",
    )
    group.addoption(
        "--conformance-seed",
        type=int,
        metavar="N",
        help=f"what the random kills follow from; default {DEFAULT_SEED}",
    )
    group.addoption(
        "--conformance-report", type=Path, metavar="FILE", help="also write the table: .json, or Markdown"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "conformance: a driver against a stand-in of its cloud")
    config.stash[_RESULTS] = []


@pytest.fixture
def conformance_effort(request: pytest.FixtureRequest) -> Effort:
    kills, seed = request.config.option.conformance_kills, request.config.option.conformance_seed
    return Effort(
        DEFAULT_KILLS if kills is None else kills,
        DEFAULT_SEED if seed is None else seed,
        thorough=kills is not None,
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A long run that was asked for has the time that it takes."""
    if config.option.conformance_kills is not None and config.pluginmanager.hasplugin("timeout"):
        for item in items:
            if item.get_closest_marker("conformance"):
                item.add_marker(pytest.mark.timeout(0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    result = _result(item, call, report)
    if result is not None:
        # Plain values only: the report may have to travel from another process.
        plain = {**asdict(result), "verdict": result.verdict.value}
        report.user_properties.append((_PROPERTY, plain))
    return report


def _result(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> Result | None:
    subject = getattr(item, "funcargs", {}).get("subject")
    if report.when != "call" or subject is None or item.get_closest_marker("conformance") is None:
        return None
    check = item.funcargs["check"]  # type: ignore[attr-defined]
    if report.passed:
        return Result(subject.driver, check, Verdict.HOLDS, item.stash.get(FOUND, ""))
    told = str(call.excinfo.value).partition("\n")[0] if call.excinfo is not None else ""
    return Result(subject.driver, check, Verdict.NOT_SIMULATED if report.skipped else Verdict.FAILS, told)


class _Collector:
    """Reads results off the reports, which also come from other processes."""

    def __init__(self, results: list[Result]) -> None:
        self._results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY and isinstance(value, dict):
                self._results.append(Result(**{**value, "verdict": Verdict(value["verdict"])}))


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Collector(session.config.stash[_RESULTS]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash[_RESULTS]
    if not results:
        return
    seed = config.option.conformance_seed
    terminalreporter.section(f"conformance, seed {DEFAULT_SEED if seed is None else seed}")
    for line in aligned(table(results, list(CHECKS))):
        terminalreporter.write_line(line)
    path: Path | None = config.option.conformance_report
    if path is not None:
        promises = {check: promise_of(check) for check in CHECKS}
        write(path, results, promises, " ".join(["pytest", *config.invocation_params.args]))
        terminalreporter.write_line(f"written to {path}")

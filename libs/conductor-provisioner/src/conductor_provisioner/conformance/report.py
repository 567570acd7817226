"""The table: a row for each behaviour, a column for each driver."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class Verdict(StrEnum):
    HOLDS = "holds"
    FAILS = "FAILS"
    NOT_SIMULATED = "not simulated"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check of one driver. ``found`` is for people: how often it was tried, or what was wrong."""

    driver: str
    check: str
    verdict: Verdict
    found: str = ""

    @property
    def cell(self) -> str:
        return f"{self.verdict.value}: {self.found}" if self.found else self.verdict.value


def table(results: Iterable[Result], checks: Sequence[str]) -> list[list[str]]:
    """Rows of cells, the heading first. ``checks`` gives the order; what was not run has no row."""
    by_place = {(each.check, each.driver): each for each in results}
    drivers = sorted({driver for _, driver in by_place})
    rows = [["behaviour", *drivers]]
    for check in checks:
        found = [by_place.get((check, driver)) for driver in drivers]
        if any(found):
            rows.append([check, *(each.cell if each else "not run" for each in found)])
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines) + "\n"


def write(path: Path, results: Sequence[Result], promises: Mapping[str, str], how: str) -> None:
    """As JSON or as Markdown, by the file's suffix. ``promises``: what each check looks for. ``how``: the command."""
    if path.suffix == ".json":
        text = json.dumps({"how": how, "results": [asdict(each) for each in results]}, indent=2) + "\n"
    else:
        legend = "\n".join(f"- **{check}**: {promise}" for check, promise in promises.items())
        text = f"{HEADING}\n{markdown(table(results, list(promises)))}\n{legend}\n\nMeasured by `{how}`.\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


HEADING = """# How the drivers bear trouble

Each driver, under the reconciler of production, against a stand-in of its cloud. What a stand-in cannot show is *not
simulated*. Generated; see writing-a-provisioner.md for the suite.
"""

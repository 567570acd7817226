"""Puts the figures of `results` into the documents: ``python -m benchmarks document``.

What stands between ``<!-- figures: NAME -->`` and ``<!-- end of figures -->`` is written by this module, and by nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import provisioner, report, results, scheduler
from benchmarks.figures import Figures, Machine, ProvisionerFigures, SchedulerFigures
from benchmarks.goals import Verdict, of_provisioner, of_scheduler, verdicts
from benchmarks.machine import CHECKOUT

DOCUMENTS = ("README.md", "docs/performance.md", "docs/provisioners.md", "docs/scheduling.md")
CLAIMS, AWS = "claims.json", "aws-stand-in.json"
PROVISIONER, SCHEDULER = "provisioner.json", "scheduler.json"
_BLOCK = re.compile(
    r"(?P<begin><!-- figures: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of figures -->)", re.DOTALL
)


def main() -> int:
    for document in DOCUMENTS:
        file = CHECKOUT / document
        file.write_text(filled(file.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def filled(document: str, folder: Path = results.FOLDER) -> str:
    """The document with the figures that are in ``folder``. Raises KeyError for a name that there is not."""
    return _BLOCK.sub(
        lambda block: block["begin"] + _written(_BLOCKS[block["name"]], folder) + block["end"], document
    )


def _written(block: Callable[[Path], Iterator[str]], folder: Path) -> str:
    try:
        return "\n".join(block(folder)) + "\n"
    except FileNotFoundError:
        return "Not measured yet: `make bench-results`.\n"


def _goals(folder: Path) -> Iterator[str]:
    claims = results.read(folder / CLAIMS, Figures)
    yield from _where(claims.machine)
    yield ""
    yield "| goal | measured | |"
    yield "|---|---|---|"
    for verdict in all_verdicts(folder):
        yield f"| {verdict.goal} | {verdict.measured} | {verdict.outcome} |"


def all_verdicts(folder: Path) -> Iterator[Verdict]:
    yield from verdicts(results.read(folder / CLAIMS, Figures))
    yield from of_scheduler(results.read(folder / SCHEDULER, SchedulerFigures))
    yield from of_provisioner(results.read(folder / PROVISIONER, ProvisionerFigures))


def _claims(folder: Path) -> Iterator[str]:
    yield from _text(report.lines(results.read(folder / CLAIMS, Figures)))


def _aws(folder: Path) -> Iterator[str]:
    yield from _text(report.lines(results.read(folder / AWS, Figures)))


def _provisioner(folder: Path) -> Iterator[str]:
    found = results.read(folder / PROVISIONER, ProvisionerFigures)
    yield from _where(found.machine)
    yield from _text(provisioner.lines(found))


def _scheduler(folder: Path) -> Iterator[str]:
    found = results.read(folder / SCHEDULER, SchedulerFigures)
    yield from _where(found.machine)
    yield from _text(scheduler.lines(found))


def _where(machine: Machine) -> Iterator[str]:
    yield (
        f"Measured at {machine.began[:16].replace('T', ' ')} UTC on {machine.cores} cores of {machine.cpu} with "
        f"{machine.memory / 2**30:.0f} GiB that run everything, commit `{machine.commit}`:"
    )


def _text(lines: Iterator[str]) -> Iterator[str]:
    yield "```text"
    yield from "\n".join(lines).rstrip().splitlines()
    yield "```"


_BLOCKS = {
    "goals": _goals,
    "claims": _claims,
    "aws-stand-in": _aws,
    "provisioner": _provisioner,
    "scheduler": _scheduler,
}

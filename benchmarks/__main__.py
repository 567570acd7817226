"""Measures how fast Conductor is and what it costs: ``python -m benchmarks [--help]``.

Starts an environment of its own: kube-apiserver and etcd (with fsync), NATS, the watcher, the scheduler, the secrets-writer
and a provisioner whose cloud does nothing. Everything shares this machine's cores. Creation is timed where the client
sends it, readiness where a watch hears of it. Prints a table; ``--json`` writes the figures to a file.

``python -m benchmarks provisioner`` measures the provisioner library, ``python -m benchmarks.scheduler`` the scheduler;
``python -m benchmarks document`` puts the figures of benchmarks/results into the documents.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks import document, provisioner, report, results
from benchmarks.run import PHASES, Plan, run
from benchmarks.stage import Cloud


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def _rates(text: str) -> tuple[float, ...]:
    return tuple(float(each) for each in text.split(","))


def _phases(text: str) -> frozenset[str]:
    chosen = frozenset(text.split(","))
    if unknown := chosen - set(PHASES):
        raise argparse.ArgumentTypeError(
            f"there is no {', '.join(sorted(unknown))}: choose of {', '.join(PHASES)}"
        )
    return chosen


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    plan = Plan()
    parser.add_argument(
        "--only",
        type=_phases,
        default=plan.only,
        metavar="PHASE,…",
        help=f"of {', '.join(PHASES)} (default: all but many)",
    )
    parser.add_argument(
        "--alone",
        type=int,
        default=plan.alone,
        metavar="N",
        help=f"claims that come one by one (default: {plan.alone})",
    )
    parser.add_argument(
        "--claims",
        type=_numbers,
        default=plan.claims,
        metavar="N,…",
        help="sizes of the bursts; idle and deletion are measured with the last one's claims (default: 50,100,300,1000)",
    )
    parser.add_argument(
        "--raw-claims",
        type=int,
        default=plan.raw_claims,
        metavar="N",
        help=f"claims of the raw ceiling (default: {plan.raw_claims})",
    )
    parser.add_argument(
        "--rates",
        type=_rates,
        default=plan.rates,
        metavar="N,…",
        help="claims a second that arrive at random (default: 1,10,30)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=plan.seconds,
        help=f"of each rate, and of idleness (default: {plan.seconds:g})",
    )
    parser.add_argument(
        "--many",
        type=int,
        default=plan.many,
        metavar="N",
        help=f"claims that exist before the services are started (default: {plan.many})",
    )
    parser.add_argument(
        "--create-seconds",
        type=float,
        default=plan.create_seconds,
        metavar="SECONDS",
        help="how long a resource is being created (default: 0)",
    )
    parser.add_argument(
        "--cloud",
        type=Cloud,
        choices=list(Cloud),
        default=plan.cloud,
        help="noop: a driver without a cloud; moto: the real aws-provisioner and the AWS stand-in (default: noop)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    plan = Plan(
        only=options.only,
        alone=options.alone,
        claims=options.claims,
        raw_claims=options.raw_claims,
        rates=options.rates,
        seconds=options.seconds,
        many=options.many,
        create_seconds=options.create_seconds,
        cloud=options.cloud,
    )
    with tempfile.TemporaryDirectory(prefix="conductor-bench-") as folder:
        figures = asyncio.run(run(Path(folder), plan))
    print()
    for line in report.lines(figures):
        print(line)
    if options.json:
        results.write(options.json, figures)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["provisioner"]:
        sys.exit(provisioner.main(sys.argv[2:]))
    if sys.argv[1:2] == ["document"]:
        sys.exit(document.main())
    sys.exit(main(sys.argv[1:]))

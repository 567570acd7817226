"""``python -m conductor_bus dead-letters``: list what workers gave up on, read it, have it tried again, or throw it away.

It connects as the services do: ``NATS_URL`` and the variables of ``credentials``, with a user that may read and change
the dead-letter stream.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from conductor_bus.bus import Bus
from conductor_bus.config import BusConfig
from conductor_bus.deadletters import DeadLetter
from conductor_bus.errors import BusError, MalformedMessage

_TEXT_WIDTH = 80


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conductor_bus", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="area", required=True)
    letters = commands.add_parser("dead-letters", help="messages that a worker gave up on")
    verbs = letters.add_subparsers(dest="verb", required=True)
    for verb, told in (
        ("list", "one line each: number, worker, object, attempts, error"),
        ("show", "one letter whole, with the message as it was"),
        ("replay", "have the letters' objects looked at again, in their present state"),
        ("discard", "remove letters for good"),
    ):
        command = verbs.add_parser(verb, help=told, description=told)
        command.add_argument("--group", help="only those of this worker, such as aws-provisioner")
        if verb == "show":
            command.add_argument("number", type=int, nargs=1, help="as `list` shows it")
        elif verb != "list":
            which = command.add_mutually_exclusive_group(required=True)
            which.add_argument("number", type=int, nargs="*", default=[], help="as `list` shows them")
            which.add_argument("--all", action="store_true", help="every letter, or every one of --group")
    return parser.parse_args(given)


async def run(given: argparse.Namespace) -> int:
    """Does what was asked for; 1 when a number that was named is no letter's, or a letter names no object."""
    url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")
    bus = await Bus.connect(url, name="conductor-dead-letters", config=BusConfig.from_environment(os.environ))
    try:
        letters = [letter async for letter in bus.dead_letters(given.group)]
        if given.verb == "list":
            _list(letters)
            return 0
        wanted = set(given.number) or {letter.sequence for letter in letters}
        missing = wanted - {letter.sequence for letter in letters}
        for number in sorted(missing):
            print(f"there is no dead letter {number}", file=sys.stderr)
        done = [await _act(bus, given.verb, letter) for letter in letters if letter.sequence in wanted]
        return 0 if all(done) and not missing else 1
    finally:
        await bus.close()


def _list(letters: Sequence[DeadLetter]) -> None:
    if not letters:
        print("there are no dead letters")
        return
    rows = [("NUMBER", "WORKER", "OBJECT", "ATTEMPTS", "FAILED AT", "ERROR")]
    rows += [
        (
            str(letter.sequence),
            letter.consumer,
            str(letter.key) if letter.key else f"none ({letter.subject})",
            str(letter.deliveries),
            letter.failed_at[:19],
            f"{letter.error}: {letter.text}"[:_TEXT_WIDTH],
        )
        for letter in letters
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


async def _act(bus: Bus, verb: str, letter: DeadLetter) -> bool:
    match verb:
        case "show":
            print(
                f"number:   {letter.sequence}\nworker:   {letter.consumer}\nobject:   {letter.key or 'none'}"
            )
            print(f"subject:  {letter.subject}\nattempts: {letter.deliveries}\nfailed:   {letter.failed_at}")
            print(
                f"error:    {letter.error}: {letter.text}\n\n{letter.data.decode(errors='backslashreplace')}"
            )
        case "replay":
            try:
                await bus.replay(letter)
            except MalformedMessage as error:
                print(f"{error}: it can only be discarded", file=sys.stderr)
                return False
            print(f"{letter.sequence}: {letter.consumer} looks at {letter.key} again")
        case _:
            await bus.discard(letter)
            print(f"{letter.sequence}: discarded")
    return True


def main(given: Sequence[str] | None = None) -> int:
    try:
        return asyncio.run(run(_arguments(given)))
    except BusError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

"""Whatever is applied is refused with the field, or told of on the object; nobody crashes, spins or is held up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from arena import Arena
from cases import draw

SEED = int(os.environ.get("CONDUCTOR_FUZZ_SEED", "1"))
COUNT = int(os.environ.get("CONDUCTOR_FUZZ_COUNT", "50"))
BATCH = 50


@pytest.mark.integration
@pytest.mark.timeout(COUNT * 3 + 900)
async def test_no_manifest_breaks_conductor(tmp_path: Path) -> None:
    cases = draw(SEED, COUNT)
    with Arena.start(tmp_path) as arena:
        for first in range(0, COUNT, BATCH):
            arena.play(cases[first : first + BATCH])
        arena.come_to_rest()
        letters = [f"{each.key}: {each.error}: {each.text}" for each in await arena.dead_letters()]
    tally = arena.tally
    print(
        f"\nseed {SEED}: {tally.accepted} of {COUNT} manifests accepted, {tally.changes_accepted} changes accepted, "
        f"{tally.changes_refused} refused, at most {tally.most_writes} writes of one object, "
        f"canaries Ready within {max(tally.canary_seconds):.1f} s"
    )
    broken = [*tally.wrong, *(f"a dead letter: {each}" for each in letters)]
    if broken:
        pytest.fail(
            f"seed {SEED}, {COUNT} cases: {len(broken)} promises broken\n" + "\n".join(broken), pytrace=False
        )
    assert tally.accepted > COUNT / 5
    assert tally.refused > COUNT / 5

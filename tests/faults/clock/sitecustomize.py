"""The wall clock of a machine that is set wrong, for a service that runs with this folder on its PYTHONPATH.

Seconds ahead, or behind, stand in the file that CONDUCTOR_FAULTY_CLOCK names; whoever changes it sets the clock while the
service runs. Clocks that only measure how long something takes go right, as they do on such a machine.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

_LOOK_EVERY = 0.2
_OFFSET = Path(os.environ["CONDUCTOR_FAULTY_CLOCK"])


def _follow() -> None:
    began, real = time.monotonic(), datetime.now(UTC)
    shown, clock = 0.0, None
    while True:
        wanted = float(_OFFSET.read_text() or 0)
        if wanted != shown:
            if clock is not None:
                clock.stop()
            present = real + timedelta(seconds=time.monotonic() - began + wanted)
            clock = time_machine.travel(present, tick=True)
            clock.start()
            shown = wanted
        time.sleep(_LOOK_EVERY)


threading.Thread(target=_follow, name="clock", daemon=True).start()

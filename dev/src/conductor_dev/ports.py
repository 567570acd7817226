"""Free ports.

They are taken from below the range from which systems give ports to outgoing connections. Otherwise a client that
retries its connection to a part that is being restarted can be given that part's own port, connect to itself, and
keep the part from ever coming back.
"""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 18_000, 32_000
_random = random.SystemRandom()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now. Somebody may take it next: starting a part tries again."""
    while True:
        port = _random.randrange(LOWEST, HIGHEST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

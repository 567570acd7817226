"""Starts a command that must not outlive the process that asked for it: `lifeline.py MODE PARENT -- COMMAND...`

Run as a script by an isolated interpreter, so it may import nothing of this package. Two modes:

- ``signal`` (Linux): asks the kernel for SIGKILL upon the parent's death, then becomes the command itself.
  The request survives exec; a parent that died before the request is noticed by a changed parent id.
- ``pipe`` (elsewhere): stays as a tiny supervisor beside the command and reads a pipe, of which only the parent
  holds the other end. The pipe's end is the parent's end, however it came. PARENT is the pipe's descriptor.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1
EXIT_ORPHANED = 125


def become(parent: int, command: list[str]) -> None:
    import ctypes  # noqa: PLC0415 - not needed, and not everywhere complete, in the other mode

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit(EXIT_ORPHANED)
    os.execvpe(command[0], command, os.environ)  # noqa: S606 - a command is what this is given


def supervise(pipe: int, command: list[str]) -> int:
    os.set_inheritable(pipe, False)
    child = os.posix_spawnp(command[0], command, os.environ)

    def kill_when_orphaned() -> None:
        while os.read(pipe, 1):
            pass
        os.kill(child, signal.SIGKILL)

    # We and the command are one process group, so the command has had the signal already. A handler that does
    # nothing, rather than ignoring: what is ignored here would stay ignored in the command.
    for also_ours in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(also_ours, lambda *_: None)
    threading.Thread(target=kill_when_orphaned, daemon=True).start()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def main(arguments: list[str]) -> None:
    mode, parent, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit(__doc__)
    if mode == "signal":
        become(int(parent), command)
    code = supervise(int(parent), command)
    if code < 0:
        # Die of what the command died of, so that the parent sees the truth.
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])

"""What can go wrong in the embedded environment.

DevError
├── PartFailed               a part exited, or did not become ready; names its log and shows the end of it
│   └── PortInUse            it exited because somebody else took its port: choosing another one helps
├── NotReadyInTime           a condition did not come true before its deadline
├── BinariesUnavailable      no way led to the binaries; lists each way with why it failed
│   ├── ReleaseUnavailable   the official release cannot be downloaded from here
│   ├── ChecksumMismatch     a downloaded file is not the one that was published
│   └── BuildFailed          the Go tool chain is missing or refused
├── DockerUnavailable        a container was asked for and no Docker engine answers
├── AlreadyRunning           `up` while the environment of this checkout runs
├── KubeconfigUnusable       a kubeconfig is missing or cannot be read as one
└── ApiError                 the API server's refusal: status, reason and its own message
    └── ApiUnreachable       no answer came: status 0
"""

from __future__ import annotations

from pathlib import Path

TAIL_LINES = 15


class DevError(Exception):
    """Base of all errors of this package; the text is meant for the person who started it."""


def tail_of(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, each indented; a note if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "    (no log was written)"
    last = text.splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in last) or "    (the log is empty)"


class PartFailed(DevError):
    def __init__(self, part: str, happened: str, log: Path) -> None:
        super().__init__(f"{part} {happened}. The end of {log}:\n{tail_of(log)}\nAll logs: {log.parent}")
        self.part = part
        self.happened = happened
        self.log = log


class PortInUse(PartFailed):
    pass


class NotReadyInTime(DevError):
    def __init__(self, what: str, seconds: float, last: str) -> None:
        super().__init__(f"{what}: not so after {seconds:g} s" + (f" (last seen: {last})" if last else ""))


class BinariesUnavailable(DevError):
    pass


class ReleaseUnavailable(BinariesUnavailable):
    pass


class ChecksumMismatch(BinariesUnavailable):
    pass


class BuildFailed(BinariesUnavailable):
    pass


class DockerUnavailable(DevError):
    pass


class AlreadyRunning(DevError):
    pass


class KubeconfigUnusable(DevError):
    pass


class ApiError(DevError):
    def __init__(self, what: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{what}: {status} {reason}: {message}")
        self.what = what
        self.status = status
        self.reason = reason
        self.message = message


class ApiUnreachable(ApiError):
    def __init__(self, what: str, server: str, happened: str) -> None:
        super().__init__(what, 0, "Unreachable", happened)
        self.args = (f"{what}: no answer from the API server {server}: {happened}",)

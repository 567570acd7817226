"""Running a database server as an ordinary user when we are root, as such servers demand.

The server becomes `nobody`. Folders of an environment, and sometimes the checkout, can be entered by root only: of
root's powers the server keeps the one to reach its files there, and dies with whoever started it.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterable
from pathlib import Path

from conductor_dev.errors import DevError

_USER = "nobody"
_KEPT = "dac_override"


def as_ordinary_user(command: Iterable[str]) -> list[str]:
    """The command as it is, unless we are root."""
    if os.geteuid() != 0:
        return list(command)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise DevError("database servers do not run as root: install setpriv (util-linux), or run as a user")
    user = pwd.getpwnam(_USER)
    drop = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    keep = [f"--{each}=-all,+{_KEPT}" for each in ("inh-caps", "ambient-caps", "bounding-set")]
    # access(2), by which initdb looks for its server, forgets that power of an ordinary user unless it is told not to.
    keep.append("--securebits=+no_setuid_fixup")
    # The kernel forgets the wish to die with the parent when the user changes: see `lifeline`.
    return [setpriv, *drop, *keep, "--pdeathsig=KILL", *command]


def hand_over(*paths: Path) -> None:
    """Gives files and folders to the user that `as_ordinary_user` runs commands as."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)

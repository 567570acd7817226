"""Runs the provisioner: ``python -m provisioner_filesystem``, with the volumes under ``FILESYSTEM_ROOT``."""

import os
from pathlib import Path

from conductor_provisioner.plain import PlainDrivers
from conductor_provisioner.provisioner import main
from provisioner_filesystem.driver import Directories
from provisioner_filesystem.kinds import KINDS

if __name__ == "__main__":
    drivers = PlainDrivers(lambda _: Directories(Path(os.environ["FILESYSTEM_ROOT"])))
    raise SystemExit(main("filesystem-provisioner", {KINDS.model: drivers}, version="0.1.0"))

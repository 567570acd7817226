"""Runs the provisioner: ``python -m provisioner_filesystem``, with the volumes under ``FILESYSTEM_ROOT``."""

import os
import sys
from pathlib import Path

from conductor_provisioner.provisioner import main
from provisioner_filesystem.driver import Directories
from provisioner_filesystem.kinds import FilesystemDirectory

if __name__ == "__main__":
    root = Path(os.environ["FILESYSTEM_ROOT"])
    sys.exit(main("filesystem-provisioner", {FilesystemDirectory: Directories(root)}, version="0.1.0"))

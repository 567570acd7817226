"""The driver, tried by the conformance suite on a real filesystem."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from conductor_provisioner.conformance import Conformance, Fault, NotSimulated, StandIn, Subject
from conductor_provisioner.driver import Owner
from conductor_provisioner.plain import PlainDrivers
from provisioner_filesystem.driver import Directories
from provisioner_filesystem.kinds import FILESYSTEM_DIRECTORY


class Filesystem(StandIn):
    """Its people are its other users."""

    def __init__(self, root: Path) -> None:
        self._root, self._volume = root, root / "fast"
        self._volume.mkdir(parents=True)

    async def settle(self) -> None:
        """Nothing takes time."""

    async def external(self) -> Sequence[str]:
        return [each.name for each in self._volume.glob("[!.]*")]

    async def residue(self) -> Sequence[str]:
        return [each.name for each in self._volume.glob(".*")]

    async def vanish(self, name: str) -> None:
        shutil.rmtree(self._volume / name)

    async def alter(self, name: str) -> str:
        (self._volume / name).chmod(0o777)
        return "mode"

    async def foreign(self, name: str, owner: Owner | None) -> None:
        (self._volume / name).mkdir()
        if owner is not None:
            (self._volume / name / ".owner").symlink_to(owner.mark)

    async def fault(self, fault: Fault | None) -> None:
        away = self._root.with_name("unmounted")
        if fault is Fault.THROTTLED:
            raise NotSimulated("a filesystem does not throttle")
        if fault is Fault.OUTAGE:
            self._root.rename(away)
        elif away.exists():
            away.rename(self._root)


class TestDirectories(Conformance):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        root = tmp_path / "root"
        return Subject(
            driver="filesystem",
            kind=FILESYSTEM_DIRECTORY,
            factory=PlainDrivers(lambda _: Directories(root)),
            stand_in=Filesystem(root),
            spec={"volume": "fast", "mode": "0750"},
            changed={"mode": "0700"},
            invalid={"volume": "slow"},
        )

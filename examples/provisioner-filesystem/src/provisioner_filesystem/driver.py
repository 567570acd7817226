"""Directories in the volumes under a root.

One is prepared, with its owner's label in it, under a hidden name that is nobody else's, and then renamed; it is removed
the other way round. So whatever a crash leaves is found under one of its two names, and recognised.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from conductor_provisioner import NOT_THERE, Drift, Observation, Resource, Terminal
from conductor_provisioner.plain import Plain
from provisioner_filesystem.kinds import Spec, Status

UNFINISHED = Drift("path", "a directory", "one that is not finished")


@dataclass(frozen=True)
class Directories(Plain[Spec, Status]):
    root: Path

    def look(self, wanted: Resource[Spec, Status]) -> Observation[Status]:
        place, hidden = self.places(wanted)
        if not place.is_dir():
            return Observation(exists=True, drift=(UNFINISHED,)) if hidden.is_dir() else NOT_THERE
        label, mode = place / ".owner", f"{place.stat().st_mode & 0o777:04o}"
        return Observation(
            exists=True,
            ownership=wanted.owner.whose(str(label.readlink()) if label.is_symlink() else None),
            ready=True,
            drift=() if mode == wanted.spec.mode else (Drift("mode", wanted.spec.mode, mode),),
            details={"path": str(place)},
        )

    def make(self, wanted: Resource[Spec, Status]) -> None:
        place, hidden = self.places(wanted)
        hidden.mkdir(exist_ok=True)
        self.dress(hidden, wanted)
        hidden.rename(place)

    def change(self, wanted: Resource[Spec, Status]) -> None:
        place, _ = self.places(wanted)
        if place.is_dir():
            self.dress(place, wanted)
        else:
            self.make(wanted)

    def remove(self, wanted: Resource[Spec, Status]) -> None:
        place, hidden = self.places(wanted)
        if hidden.exists():
            shutil.rmtree(hidden)
        if place.exists():
            place.rename(hidden)
            shutil.rmtree(hidden)

    def dress(self, place: Path, wanted: Resource[Spec, Status]) -> None:
        if not (place / ".owner").is_symlink():
            (place / ".owner").symlink_to(wanted.owner.mark)
        place.chmod(int(wanted.spec.mode, 8))

    def places(self, wanted: Resource[Spec, Status]) -> tuple[Path, Path]:
        """Where it is, and where it is made ready. A root that is not mounted says nothing of what is there."""
        name, volume = wanted.external_name, self.root / wanted.spec.volume
        if not self.root.is_dir():
            raise OSError(f"{self.root} is not there")
        if not volume.is_dir() or Path(name).name != name or name.startswith("."):
            raise Terminal("find", name, "NoSuchPlace", f"{volume.name} holds no place for {name}")
        return volume / name, volume / f".{name}.{wanted.owner.uid}"

"""The driver: directories in the volumes under a root.

A directory is prepared, with its owner's label in it, under a hidden name that is nobody else's, and then renamed; it
is removed the other way round. So whatever a crash leaves is found under one of its two names, and recognised.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from conductor_provisioner import (
    NOT_THERE,
    Account,
    CredentialsFrom,
    Drift,
    Observation,
    Ownership,
    Resource,
    Terminal,
    Transient,
)
from provisioner_filesystem.kinds import FilesystemDirectorySpec, FilesystemDirectoryStatus

Wanted = Resource[FilesystemDirectorySpec, FilesystemDirectoryStatus]
Seen = Observation[FilesystemDirectoryStatus]
T = TypeVar("T")


class DirectoryDriver:
    credentials_from = CredentialsFrom.NOBODY
    recreates = False  # an empty directory in place of a full one helps nobody

    def __init__(self, root: Path, account: Account) -> None:
        self._root, self._calls = root, account.calls

    async def observe(self, resource: Wanted) -> Seen:
        return await self._call("look at", resource, lambda place: seen(place, resource))

    async def create(self, resource: Wanted) -> Seen:
        await self._call("prepare", resource, lambda place: prepare(place, resource))
        await self._call("place", resource, lambda place: hidden(place).rename(place))
        return await self.observe(resource)

    async def update(self, resource: Wanted, observed: Seen) -> Seen:
        if not observed.ready:
            return await self.create(resource)
        await self._call("change", resource, lambda place: dress(place, resource))
        return await self.observe(resource)

    async def delete(self, resource: Wanted, observed: Seen) -> None:
        await self._call("clear", resource, clear)
        await self._call("hide", resource, lambda place: place.exists() and place.rename(hidden(place)))
        await self._call("clear", resource, clear)

    async def _call(self, action: str, resource: Wanted, do: Callable[[Path], T]) -> T:
        name, volume = resource.external_name, self._root / resource.spec.volume

        def call() -> T:
            if not self._root.is_dir():
                raise Transient(action, name, "NotMounted", f"{self._root} is not there")
            if not volume.is_dir() or Path(name).name != name or name.startswith("."):
                raise Terminal(action, name, "NoSuchPlace", f"{volume.name} holds no place for {name}")
            try:
                return do(volume / name)
            except OSError as error:
                raise Transient(action, name, type(error).__name__, str(error)) from error

        return await self._calls.blocking(action, name, call)


class Directories:
    """Opens the driver of an account. All accounts have the same volumes here."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def open(self, account: Account) -> DirectoryDriver:
        return DirectoryDriver(self._root, account)

    async def close(self, driver: object) -> None:
        """A directory needs no connection."""


def seen(place: Path, resource: Wanted) -> Seen:
    if not place.is_dir():
        # A crash was here, or a removal is under way: either goes on from it.
        return Observation(exists=True, drift=(missing,)) if hidden(place).is_dir() else NOT_THERE
    mode = f"{place.stat().st_mode & 0o777:04o}"
    owner = str(label(place).readlink()) if label(place).is_symlink() else None
    ours = Ownership.OURS if owner == owner_of(resource) else Ownership.ANOTHERS
    return Observation(
        exists=True,
        ownership=Ownership.NOBODYS if owner is None else ours,
        ready=True,
        drift=() if mode == resource.spec.mode else (Drift("mode", resource.spec.mode, mode),),
        details={"path": str(place)},
    )


missing = Drift("path", "a directory", "one that is not finished")


def prepare(place: Path, resource: Wanted) -> None:
    hidden(place).mkdir(exist_ok=True)
    dress(hidden(place), resource)


def dress(place: Path, resource: Wanted) -> None:
    if not label(place).is_symlink():
        label(place).symlink_to(owner_of(resource))
    place.chmod(int(resource.spec.mode, 8))


def clear(place: Path) -> None:
    if hidden(place).exists():
        shutil.rmtree(hidden(place))


def hidden(place: Path) -> Path:
    return place.with_name(f".{place.name}")


def label(place: Path) -> Path:
    return place / ".owner"


def owner_of(resource: Wanted) -> str:
    return f"{resource.owner.cluster_id}:{resource.owner.uid}"

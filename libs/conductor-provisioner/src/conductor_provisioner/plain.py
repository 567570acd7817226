"""A driver from four plain functions that may block, for what is done in one call each: a directory, a record, a file.

::

    class Directories(Plain[DirectorySpec, DirectoryStatus]):
        def look(self, wanted): ...     # what is there: an Observation
        def make(self, wanted): ...     # what was not there
        def change(self, wanted): ...   # what has drifted, or was left half made
        def remove(self, wanted): ...   # what is ours, or left of it

    main("my-provisioner", {MyKind: PlainDrivers(lambda account: Directories(account.endpoint))}, version="1.0")

Each runs in a thread, as one call of the account: limited, timed, traced and counted. An ``OSError`` that it raises is
Transient; what else can go wrong it raises as an ``errors.ProviderError``. Whatever long operations, issued credentials or
several steps that must be told apart need, ``driver.Driver`` has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from conductor_provisioner.driver import (
    Account,
    CredentialsFrom,
    Observation,
    Resource,
    SpecT,
    StatusT,
)
from conductor_provisioner.errors import Transient

T = TypeVar("T")


class Plain(ABC, Generic[SpecT, StatusT]):
    """The external resources of one kind in one account. What each side promises is as of ``driver.Driver``."""

    recreates = False
    """Whether what vanished behind our back is made again. Not where it may have held data."""

    @abstractmethod
    def look(self, wanted: Resource[SpecT, StatusT]) -> Observation[StatusT]:
        """What is there under ``wanted.external_name``."""

    @abstractmethod
    def make(self, wanted: Resource[SpecT, StatusT]) -> None:
        """Bring it into being, marked as ``wanted.owner``'s, however far an earlier attempt came."""

    @abstractmethod
    def change(self, wanted: Resource[SpecT, StatusT]) -> None:
        """Make good what ``look`` named as drift."""

    @abstractmethod
    def remove(self, wanted: Resource[SpecT, StatusT]) -> None:
        """All of it, however far an earlier attempt came."""


class PlainDrivers:
    """``driver.DriverFactory`` for a ``Plain``."""

    def __init__(self, open: Callable[[Account], Plain[Any, Any]]) -> None:
        self._open = open

    async def open(self, account: Account) -> PlainDriver:
        return PlainDriver(account, self._open(account))

    async def close(self, driver: Any) -> None:
        """Nothing is held between calls."""


class PlainDriver:
    """``driver.Driver``."""

    credentials_from = CredentialsFrom.NOBODY

    def __init__(self, account: Account, plain: Plain[Any, Any]) -> None:
        self._calls = account.calls
        self._plain = plain
        self.recreates = plain.recreates

    async def observe(self, resource: Resource[Any, Any]) -> Observation[Any]:
        return await self._call("look", resource, self._plain.look)

    async def create(self, resource: Resource[Any, Any]) -> Observation[Any]:
        await self._call("make", resource, self._plain.make)
        return await self.observe(resource)

    async def update(self, resource: Resource[Any, Any], observed: Observation[Any]) -> Observation[Any]:
        await self._call("change", resource, self._plain.change)
        return await self.observe(resource)

    async def delete(self, resource: Resource[Any, Any], observed: Observation[Any]) -> None:
        await self._call("remove", resource, self._plain.remove)

    async def _call(
        self, action: str, resource: Resource[Any, Any], do: Callable[[Resource[Any, Any]], T]
    ) -> T:
        name = resource.external_name

        def call() -> T:
            try:
                return do(resource)
            except OSError as error:
                raise Transient(action, name, type(error).__name__, str(error)) from error

        return await self._calls.blocking(action, name, call)

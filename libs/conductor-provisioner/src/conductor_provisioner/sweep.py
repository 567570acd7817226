"""Finds external resources that carry our cluster's tag and that no object stands for, or more than the one that an object
has. It deletes none of them.

Promises: what is reported was there before and after all objects of its kind were listed, and the list was complete. An
object that cannot be listed, or an account that does not answer, yields no report rather than a wrong one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from conductor_kube import KubeError
from conductor_model.conditions import Condition, condition
from conductor_model.kind import Kind
from conductor_model.providerconfig import Orphan, ProviderConfig, ProviderConfigCondition
from conductor_provisioner.accounts import Accounts
from conductor_provisioner.configs import Chosen
from conductor_provisioner.driver import Sweeps, Tagged
from conductor_provisioner.errors import ProviderError
from conductor_provisioner.keeper import ConfigStore, changed
from conductor_provisioner.metrics import Metrics

MAX_TOLD = 50
_SPREAD = 0.1
_MAX_UID, _MAX_TEXT = 128, 1024

log = logging.getLogger(__name__)


@runtime_checkable
class _CanSweep(Sweeps, Protocol):
    """A driver whose cloud can list what carries a tag."""


@dataclass(frozen=True, slots=True)
class Found:
    """The orphans of one account."""

    account: str
    orphans: tuple[Orphan, ...]

    def as_json(self) -> dict[str, object]:
        return {
            "account": self.account,
            "orphans": [each.model_dump(mode="json", by_alias=True) for each in self.orphans],
        }


class Sweep:
    """Goes over all accounts, again and again."""

    def __init__(
        self,
        accounts: Accounts,
        kinds: tuple[Kind, ...],
        store: ConfigStore,
        metrics: Metrics,
        *,
        cluster_id: str,
        now: Callable[[], datetime],
        random: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._kinds = kinds
        self._store = store
        self._metrics = metrics
        self._cluster_id = cluster_id
        self._now = now
        self._random = random
        self._found: dict[str, Found] = {}

    @property
    def found(self) -> tuple[Found, ...]:
        """What each account's last complete sweep found."""
        return tuple(self._found.values())

    async def run(self, seconds: float) -> None:
        """For ever, every so many seconds, the first time after a part of them: replicas start together."""
        await asyncio.sleep(min(seconds, 60.0) * self._random())
        while True:
            try:
                await self.once()
            except (ProviderError, KubeError) as error:
                log.info("no sweep for orphans: %s", error)
            except Exception as error:
                # Not with its text, which may hold a secret. One that fails is not to be the last.
                log.error("no sweep for orphans: %s", type(error).__name__)
            await asyncio.sleep(seconds * (1 + _SPREAD * (2 * self._random() - 1)))

    async def once(self) -> None:
        """One sweep of every account that answers."""
        await self._accounts.forget_gone()
        accounts = self._accounts.accounts()
        self._found = {
            name: found for name, found in self._found.items() if name in {_name(each) for each in accounts}
        }
        for each in accounts:
            try:
                await self._sweep(each)
            except (ProviderError, KubeError) as error:
                log.info("%s is not swept for orphans: %s", _name(each), error)
            except Exception as error:
                # Not with its text, which may hold a secret. The other accounts are swept all the same.
                log.error("%s is not swept for orphans: %s", _name(each), type(error).__name__)

    async def _sweep(self, chosen: Chosen) -> None:
        orphans: list[Orphan] = []
        swept = False
        for kind in self._kinds:
            driver = await self._accounts.driver(kind.group_kind, chosen)
            if not isinstance(driver, _CanSweep):
                continue
            swept = True
            found = await self._orphans(kind, driver)
            self._metrics.orphans(_name(chosen), kind.type.gvk.kind, len(found))
            orphans += found
        if swept:
            await self._tell(chosen, tuple(orphans))

    async def _orphans(self, kind: Kind, driver: Sweeps) -> list[Orphan]:
        before = await self._tagged(driver)
        if not before:
            return []
        alive = {
            each.uid: each.status.external_name
            async for each in self._store.concretes(None)
            if each.kind == kind.type.gvk.kind
        }
        number = Counter(each.uid for each in before.values())
        suspects = [
            each
            for each in before.values()
            if each.uid not in alive or (number[each.uid] > 1 and each.external_name != alive[each.uid])
        ]
        # What was deleted along with its object between the two looks is no orphan.
        after = await self._tagged(driver) if suspects else {}
        return [_orphan(kind, each) for each in suspects if each.external_name in after]

    async def _tagged(self, driver: Sweeps) -> Mapping[str, Tagged]:
        return {each.external_name: each async for each in driver.tagged(self._cluster_id)}

    async def _tell(self, chosen: Chosen, orphans: tuple[Orphan, ...]) -> None:
        name = _name(chosen)
        before = self._found.get(name)
        self._found[name] = Found(name, orphans)
        if orphans and (before is None or before.orphans != orphans):
            log.warning("%s: %s", name, _message(orphans))
        if chosen.config is None:
            return
        current = await self._store.current(chosen.config)
        if current is not None:
            await self._report(current, orphans)

    async def _report(self, config: ProviderConfig, orphans: tuple[Orphan, ...]) -> None:
        old = condition(config.status.conditions, ProviderConfigCondition.ORPHANS_FOUND)
        if not orphans and old is None:
            return
        new = Condition(
            type=ProviderConfigCondition.ORPHANS_FOUND,
            status="True" if orphans else "False",
            reason="OrphansFound" if orphans else "NoOrphans",
            message=_message(orphans) if orphans else "",
            observed_generation=config.metadata.generation,
        )
        told = orphans[:MAX_TOLD]
        await self._store.write_status(config, changed(config, new, self._now(), orphans=told))
        if orphans and (old is None or old.status != "True"):
            self._store.warn(config, new.reason, new.message)


def _orphan(kind: Kind, tagged: Tagged) -> Orphan:
    """Cut to what a status holds: who owns a thing may have written anything into its tags."""
    return Orphan(
        kind=kind.type.gvk.kind,
        external_name=tagged.external_name[:_MAX_TEXT],
        uid=tagged.uid[:_MAX_UID],
        description=tagged.description[:_MAX_TEXT],
    )


def _message(orphans: tuple[Orphan, ...]) -> str:
    first = ", ".join(f"{each.kind} {each.external_name}" for each in orphans[:3])
    more = f" and {len(orphans) - 3} more" if len(orphans) > 3 else ""
    return f"These carry this cluster's tag, and no object stands for them: {first}{more}. Conductor does not delete them"


def _name(chosen: Chosen) -> str:
    meta = chosen.config.metadata if chosen.config is not None else None
    return f"{meta.namespace}/{meta.name}" if meta is not None else chosen.account

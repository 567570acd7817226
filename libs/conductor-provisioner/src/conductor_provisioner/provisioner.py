"""A complete provisioner process from kinds and their drivers: what its ``__main__`` calls.

    sys.exit(main("filesystem-provisioner", {Directory: DirectoryDrivers()}, version="1.0"))

Any number of replicas may run; they share the work. The kinds are registered by the package that defines them, see
``conductor_model.kinds``.

| variable | meaning | default |
|---|---|---|
| ``NATS_URL`` | the bus | ``nats://127.0.0.1:4222`` |
| ``KUBECONFIG`` | the cluster | the one that the pod runs in |
| ``CONDUCTOR_WATCH_NAMESPACES`` | the namespaces that it sees, with commas between them | all |
| ``CONDUCTOR_CLUSTER_ID`` | what tells this installation's external resources from others' | a namespace's uid |
| ``CONDUCTOR_<PROVIDER>_POLL_PENDING`` | between looks while the cloud is busy | ``10s`` |
| ``CONDUCTOR_<PROVIDER>_POLL_SETTLED`` | between looks otherwise | ``10m`` |
| ``CONDUCTOR_<PROVIDER>_SETTLE_DELETED`` | after a deletion, a late create is waited for; SQL: 95 s more | ``90s`` |
| ``CONDUCTOR_<PROVIDER>_CONCURRENCY`` | calls of an account under way at once, in each replica | ``16`` |
| ``CONDUCTOR_<PROVIDER>_RATE``, ``…_BURST`` | calls of an account a second, and at once | ``100``, ``200`` |
| ``CONDUCTOR_<PROVIDER>_SWEEP`` | between sweeps for orphans | ``1h`` |

That namespace is kube-system, or where not all are seen, the installation's own (``CONDUCTOR_NAMESPACE``). The variables of
``conductor_telemetry.service`` come on top.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from conductor_bus import Bus, BusConfig, BusError, Result, Work, WorkMetrics
from conductor_kube import (
    EventRecorder,
    KubeClient,
    KubeError,
    Namespaces,
    NotFound,
    RetryableError,
    watched_namespaces,
)
from conductor_kube.backoff import Backoff
from conductor_kube.builtin import NAMESPACES, SECRETS
from conductor_model.concrete import Concrete
from conductor_model.kind import Kind
from conductor_model.kinds import KINDS
from conductor_model.meta import KubeObject
from conductor_model.providerconfig import PROVIDER_CONFIG
from conductor_provisioner.accounts import Accounts, ProviderConfigs, ReadSecret
from conductor_provisioner.calls import thread_pool
from conductor_provisioner.credentials import new_password
from conductor_provisioner.driver import DriverFactory, SecretData
from conductor_provisioner.errors import ProviderError
from conductor_provisioner.keeper import Keeper, KubeConfigStore
from conductor_provisioner.kube import KubeCluster, stored_credentials
from conductor_provisioner.managed import ManagedReconciler
from conductor_provisioner.metrics import Metrics
from conductor_provisioner.settings import Settings
from conductor_provisioner.sweep import Sweep
from conductor_telemetry import Service, service

Factories = Mapping[type[Concrete], DriverFactory[Any, Any]]

IN_HAND_PER_CALL = 2
"""Objects in hand for each call that an account allows at once: what is in hand here, no other replica can work on."""

log = logging.getLogger(__name__)


def main(name: str, factories: Factories, *, version: str, settings: Settings | None = None) -> int:
    """Works until told to stop; the exit code. ``settings``: absent, those of the environment."""
    try:
        chosen = settings or Settings.from_environment(os.environ, provider_of(factories))
        asyncio.run(run(name, factories, chosen, version=version))
    except (ValueError, ProviderError, BusError, KubeError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0


def provider_of(factories: Factories) -> str:
    """The provider of the kinds. Raises ValueError unless it is one."""
    providers = {model.provider for model in factories}
    if len(providers) != 1:
        raise ValueError(f"the kinds of a provisioner have one provider, not {sorted(providers)}")
    return providers.pop()


def kind_of(model: type[Concrete]) -> Kind:
    """The registered kind of a model. Raises ValueError when no installed package registers it."""
    for kind in KINDS:
        if kind.model is model:
            return kind
    raise ValueError(f"{model.__name__} is not registered by an entry point of the group conductor.kinds")


@dataclass(frozen=True, slots=True)
class _Connections:
    """What the service waits for before it works."""

    bus: Bus
    cluster_id: str


async def run(name: str, factories: Factories, settings: Settings, *, version: str) -> None:
    """Works until told to stop."""
    agent = f"conductor-{name}"
    watched = watched_namespaces(os.environ)
    async with (
        service(name, version=version) as here,
        await KubeClient.open(user_agent=agent, namespaces=watched) as client,
    ):
        connections: _Connections | None = None

        async def connect() -> None:
            nonlocal connections
            cluster_id = settings.cluster_id or await _cluster_id(client, _identity(watched, os.environ))
            bus = await Bus.connect(
                settings.nats_url, name=agent, config=BusConfig.from_environment(os.environ)
            )
            connections = _Connections(bus, cluster_id)

        here.ready("connected", lambda: connections is not None)
        await here.until_stopped(connect())
        if connections is not None:
            try:
                await _work(here, factories, settings, client, connections)
            finally:
                await connections.bus.close()


async def _work(
    here: Service, factories: Factories, settings: Settings, client: KubeClient, to: _Connections
) -> None:
    agent, provider = f"conductor-{here.name}", provider_of(factories)
    finalizer = finalizer_of(here.name)
    kinds = {model: kind_of(model) for model in factories}
    metrics = Metrics(here.registry)
    threads = thread_pool()
    events = EventRecorder(client, controller=agent)
    configs = ProviderConfigs()
    accounts = Accounts(
        provider,
        {kind.group_kind: factories[model] for model, kind in kinds.items()},
        configs,
        secret_reader(client),
        finalizer=finalizer,
        limits=settings.limits,
        threads=threads,
        metrics=metrics,
        tracer=here.tracer,
        monotonic=time.monotonic,
        random=random.random,
    )
    store = KubeConfigStore(client, tuple(kinds.values()), events, field_manager=agent)
    sweep = Sweep(
        accounts,
        tuple(kinds.values()),
        store,
        metrics,
        cluster_id=to.cluster_id,
        now=_now,
        random=random.random,
    )
    handlers = {PROVIDER_CONFIG.group_kind: Keeper(provider, finalizer, store, _now).handle}
    for model, kind in kinds.items():
        reconciler = ManagedReconciler(
            model,
            KubeCluster(kind.type, model, client, events, field_manager=agent),
            accounts,
            cluster_id=to.cluster_id,
            poll=settings.poll,
            settle_deleted=settings.settle_deleted,
            metrics=metrics,
            now=_now,
            monotonic=time.monotonic,
            random=random.random,
            new_password=new_password,
        )
        handlers[kind.group_kind] = reconciler.handle

    async def handle(work: Work) -> Result:
        return await handlers[work.key.group_kind](work)

    in_hand = IN_HAND_PER_CALL * settings.limits.concurrency
    queue = to.bus.work_queue(here.name, handlers, concurrency=in_hand)
    here.registry.register(WorkMetrics(queue))
    here.ready("work queue", lambda: queue.receiving)
    here.ready("provider configs", lambda: configs.complete)
    here.page("/orphans", lambda: [each.as_json() for each in sweep.found])
    try:
        await work_beside(queue.run(handle, here.stop), configs.follow(to.bus), sweep.run(settings.sweep))
    finally:
        await events.close()
        await accounts.close()
        threads.shutdown(wait=False, cancel_futures=True)


async def work_beside(work: Coroutine[Any, Any, None], *others: Coroutine[Any, Any, None]) -> None:
    """Until ``work`` ends. What goes on beside it ends then, too.

    An error of any of them ends all, in an ExceptionGroup: a process that is started anew is better than one that works by
    what ProviderConfigs said long ago.
    """
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(each) for each in others]
        await work
        for task in beside:
            task.cancel()


def finalizer_of(name: str) -> str:
    """What a provisioner of this name puts on the ProviderConfigs that it uses."""
    return f"{name}.conductor.io/provider-config"


def secret_reader(client: KubeClient) -> ReadSecret:
    """Reads Secrets that ProviderConfigs name."""

    async def read(namespace: str, name: str) -> tuple[str, SecretData] | None:
        try:
            found = stored_credentials(await client.get(SECRETS, namespace, name))
        except NotFound:
            return None
        return found.revision, found.data

    return read


def _now() -> datetime:
    return datetime.now(UTC)


def _identity(watched: Namespaces | None, environ: Mapping[str, str]) -> str:
    """The namespace whose uid is the installation's: others of the same cluster must find nothing of it under theirs."""
    return "kube-system" if watched is None else environ.get("CONDUCTOR_NAMESPACE", "conductor-system")


async def _cluster_id(client: KubeClient, namespace: str) -> str:
    """However long the API server takes to answer."""
    backoff = Backoff()
    while True:
        try:
            return KubeObject.model_validate_json(await client.get(NAMESPACES, None, namespace)).uid
        except RetryableError as error:
            log.warning("the cluster's id is not known yet: %s", error)
            await asyncio.sleep(backoff.next())

"""The life of a managed resource, from top to bottom: the one that all provisioners share.

Promises, whatever dies whenever:

- Finalizer, external name and generated credentials are in the API before the first external create, so exactly one
  external resource comes to exist: it is looked up first, and whoever takes over finds the same name and password.
- Nothing external is created, changed or deleted on the word of a message: the API server is asked for that very
  object first, and it must be in the very version that was decided upon. An object that is gone has nothing made for it
  and nothing deleted for it.
- What the spec's managementPolicies do not allow is not done, but told.
- Nothing waits here. While the cloud is busy, the handling ends with a time to look again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from conductor_bus import Done, MalformedMessage, ObjectMessage, RequeueAfter, Work
from conductor_kube import Forbidden, KubeError
from conductor_model.annotations import PAUSED, PROVISIONER_FINALIZER, ROTATE_REQUESTED_AT
from conductor_model.concrete import (
    Concrete,
    ConcreteCondition,
    ConcreteSpec,
    ConcreteStatus,
    Credentials,
    ManagementPolicy,
)
from conductor_model.conditions import condition
from conductor_provisioner import names
from conductor_provisioner.calls import beginning_within
from conductor_provisioner.cluster import Cluster, Overtaken, StoredCredentials
from conductor_provisioner.configs import AMBIENT, NoAccount
from conductor_provisioner.credentials import DEFAULT_MASTER_USERNAME, not_ours, unusable
from conductor_provisioner.decide import (
    Ending,
    Step,
    Traits,
    create_awaited,
    decide,
    decide_deletion,
    given_name,
    may_be_ours,
    name_of,
    not_ours_any_more,
    observes_only,
    orphans,
    repaired,
)
from conductor_provisioner.driver import (
    CredentialsFrom,
    Driver,
    Observation,
    Owner,
    Ownership,
    Releases,
    Resource,
    SecretData,
    SlowCalls,
)
from conductor_provisioner.echoes import Echoes, same_wish
from conductor_provisioner.errors import (
    NameRetired,
    NotLetIn,
    ProviderError,
    Refused,
    Retryable,
    Terminal,
    Transient,
)
from conductor_provisioner.metrics import Metrics
from conductor_provisioner.outcome import IN_SYNC, Reason, Synced, out_of_sync
from conductor_provisioner.pacing import Look, PollIntervals, next_look, seconds_until
from conductor_provisioner.parse import Parsed, parse_concrete
from conductor_provisioner.settings import CALL_SECONDS, CREATE_SECONDS
from conductor_provisioner.status import Seen, status_of, status_without_look, troubles

TELL_AFTER_DELIVERIES = 3
"""A failure that passes is told in the status only when it has come back; most never do."""

FORBIDDEN_AGAIN = (1.0, 30.0)
"""Seconds, at least and at most: as long again as it has been so. Rights that are missing may take a person, but an API
server that has just started refuses everybody until it has read its roles, and nothing tells when it has."""

LOCKED_OUT_AGAIN = 30.0
"""Seconds. Nothing tells when an account's Secret was set right; until then the look costs no call, and no write."""

FRESH_SECONDS = 10.0
"""For so long the API server's word on an object is good enough to create something for it."""

Answer = Done | RequeueAfter
ConcreteT = TypeVar("ConcreteT", bound=Concrete)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """The driver of an object's account."""

    driver: Driver[Any, Any]
    account: str = AMBIENT
    """As the status says it."""
    to_record: bool = False
    """Whether ``account`` must be in the status before anything is made there."""


class Drivers(Protocol):
    """Where the driver for an object is had: opened once for each account."""

    async def of(self, concrete: Concrete) -> Opened:
        """Raises ProviderError: where the account is not known, or is left alone for a while."""
        ...


@runtime_checkable
class NamesItself(Protocol):
    """Of a driver whose external resources have names of their own, by default; a fixed function of both."""

    def external_name(self, owner: Owner, spec: ConcreteSpec) -> str: ...


@dataclass(slots=True)
class _Round(Generic[ConcreteT]):
    """One look at one object: what is found out on the way, for whatever is to be told at its end."""

    concrete: ConcreteT
    confirmed: float | None = None
    """When, by the monotonic clock, the API server said that this is the object's newest version; None: not yet."""
    account: str = AMBIENT
    seen: Seen | None = None
    """The external resource, if it was looked at and may be ours."""


class ManagedReconciler(Generic[ConcreteT]):
    """Brings one object after the other nearer to what its spec asks for."""

    def __init__(
        self,
        model: type[ConcreteT],
        cluster: Cluster[ConcreteT],
        drivers: Drivers,
        *,
        cluster_id: str,
        poll: PollIntervals,
        settle_deleted: float,
        metrics: Metrics,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        random: Callable[[], float],
        new_password: Callable[[], str],
    ) -> None:
        """``settle_deleted``: seconds after a deletion in which a create decided upon before it may have its effect."""
        self._model = model
        self._cluster = cluster
        self._drivers = drivers
        self._cluster_id = cluster_id
        self._poll = poll
        self._settle_deleted = settle_deleted
        self._metrics = metrics
        self._now = now
        self._monotonic = monotonic
        self._random = random
        self._new_password = new_password
        self._echoes = Echoes(monotonic)

    async def handle(self, work: Work) -> Answer:
        """One look at one object. No message for it, or a tombstone, proves nothing and does nothing.

        Raises a retryable error to have the object handed over again.
        """
        message = work.message
        if message is None or message.deleted:
            return Done()
        if isinstance(work.cause, ObjectMessage):
            echo = self._echoes.answer_to(message)
            if echo is not None:
                return echo
        try:
            parsed = parse_concrete(self._model, message.data)
        except ValueError as error:
            raise MalformedMessage(f"{work.key}: not a {self._model.__name__}") from error
        started = perf_counter()
        result = "Done"
        try:
            return await self._reconcile(parsed, work.cause.deliveries)
        except Overtaken:
            result = "Overtaken"
            return Done()
        except Exception as error:
            result = type(error).__name__
            if isinstance(error, ProviderError | KubeError):
                # The work queue names the type only: it cannot know which texts hold no secrets.
                log.info("%s: %s", work.key, error)
            raise
        finally:
            self._metrics.reconcile(parsed.concrete.kind, result, perf_counter() - started)

    async def _reconcile(self, parsed: Parsed[ConcreteT], deliveries: int) -> Answer:
        round = _Round(parsed.concrete)
        try:
            going = round.concrete.being_deleted and not _goes_on(round.concrete)
            return await (self._unmake(round) if going else self._make(round, parsed.problem))
        except Retryable as error:
            if isinstance(error, Transient) and deliveries >= TELL_AFTER_DELIVERIES:
                await self._tell(round, out_of_sync(Reason.ERROR, str(error)), Look.SOON)
            raise
        except NameRetired as error:
            if given_name(round.concrete) is not None:
                return await self._tell(round, out_of_sync(Reason.NAME_RETIRED, str(error)), Look.LATER)
            return await self._take(round, error.successor)
        except NoAccount as error:
            return await self._tell(
                round, out_of_sync(Reason.PROVIDER_CONFIG_MISSING, error.message), Look.SOON
            )
        except Terminal as error:
            return await self._tell(round, _failure(error, Reason.INVALID_SPEC), Look.LATER)
        except Refused as error:
            look = LOCKED_OUT_AGAIN if isinstance(error, NotLetIn) else Look.LATER
            return await self._tell(round, _failure(error, Reason.REFUSED), look)
        except Forbidden as error:
            log.info("%s: %s", round.concrete.key, error)
            again = _forbidden_again(round.concrete, self._now())
            return await self._tell(round, _forbidden(round.concrete, error), again)

    async def _make(self, round: _Round[ConcreteT], problem: Synced | None) -> Answer:
        """Towards an external resource that is as the spec asks."""
        if problem is not None:
            return await self._tell(round, problem, Look.NEVER)
        if round.concrete.metadata.annotations.get(PAUSED) == "true":
            paused = out_of_sync(Reason.PAUSED, f"Remove the annotation {PAUSED} to go on")
            return await self._tell(round, paused, Look.NEVER)
        opened = await self._drivers.of(round.concrete)
        round.account, driver = opened.account, opened.driver
        name = name_of(round.concrete, self._default_name(driver, round.concrete))
        if isinstance(name, Synced):
            return await self._tell(round, name, Look.LATER)

        managed = not observes_only(round.concrete.spec)
        if managed and PROVISIONER_FINALIZER not in round.concrete.metadata.finalizers:
            asked = self._monotonic()
            round.concrete = await self._cluster.add_finalizer(round.concrete)
            round.confirmed = asked
        found = await self._credentials(round, driver.credentials_from)
        if isinstance(found, Synced):
            look = Look.SOON if found.reason == Reason.CREDENTIALS_MISSING else Look.LATER
            return await self._tell(round, found, look)
        if _begun_elsewhere(round, opened, found):
            return await self._take(round, name)

        concrete = round.concrete
        resource = self._resource(concrete, name, found)
        observed = await self._observe(round, driver, resource, found)
        traits = Traits(credentials_from=driver.credentials_from, recreates=driver.recreates)
        plan = decide(concrete, resource, traits, observed)
        if plan.step is Step.NOTHING:
            return await self._settle(round, driver, resource, found, observed, plan.synced, plan.look)

        await self._confirm(round)
        if _to_record(concrete, name, opened):
            return await self._take(round, name)
        synced = plan.synced
        if plan.step is Step.CREATE:
            observed = await self._create(round, driver, resource)
        else:
            observed = await driver.update(resource, observed)
            if plan.repairs:
                synced = replace(synced, message=repaired(plan.repairs))
                self._cluster.warn(concrete, "DriftRepaired", synced.message)
                for each in plan.repairs:
                    self._metrics.drift_repaired(concrete.kind, each.field)
        unfinished = (
            driver.credentials_from is not CredentialsFrom.NOBODY and not observed.credentials_applied
        )
        again = next_look(observed)
        if again is Look.LATER and (observed.drift or unfinished):
            again = Look.SOON
        return await self._settle(round, driver, resource, found, observed, synced, again)

    async def _create(
        self, round: _Round[ConcreteT], driver: Driver[Any, Any], resource: Resource[Any, Any]
    ) -> Observation[Any]:
        """Soon after the object was confirmed, or not at all: for how long a deletion awaits a late create, counts on it."""
        if round.confirmed is None or self._monotonic() - round.confirmed > FRESH_SECONDS:
            round.confirmed = None
            await self._confirm(round)
        with beginning_within(CREATE_SECONDS - FRESH_SECONDS):
            return await driver.create(resource)

    async def _unmake(self, round: _Round[ConcreteT]) -> Answer:
        """Towards nothing being left, if that is the policy. Being paused does not hold a deletion up."""
        concrete = round.concrete
        if PROVISIONER_FINALIZER not in concrete.metadata.finalizers:
            return Done()
        await self._confirm(round)
        if orphans(concrete.spec):
            await self._release(round)
            await self._cluster.remove_finalizer(concrete)
            return Done()
        opened = await self._drivers.of(concrete)
        round.account, driver = opened.account, opened.driver
        name = name_of(concrete, self._default_name(driver, concrete))
        if isinstance(name, Synced):
            return await self._tell(round, name, Look.LATER)
        ours = await self._our_credentials(concrete)
        if _begun_elsewhere(round, opened, ours):
            return await self._take(round, name)
        resource = self._resource(concrete, name, ours)
        observed, ending, awaited = await self._look_at_end(round, driver, resource, ours)
        for _ in range(2):  # the external resource, and then what it leaves behind
            if ending is not Ending.DELETE:
                break
            existed = observed.exists
            await driver.delete(resource, observed)
            observed, ending, awaited = await self._look_at_end(round, driver, resource, ours)
            if observed.exists or not existed:
                break
        if ending is Ending.GONE:
            return await self._let_go(round, ours, foreign=None)
        if ending is Ending.NOT_OURS:
            return await self._let_go(round, ours, foreign=not_ours_any_more(resource))
        if ending is Ending.AWAIT_CREATE and awaited is not None:
            return await self._tell(round, awaited, Look.SOON)
        return await self._tell(round, IN_SYNC, _bounded_soon(observed))

    async def _look_at_end(
        self,
        round: _Round[ConcreteT],
        driver: Driver[Any, Any],
        resource: Resource[Any, Any],
        ours: StoredCredentials | None,
    ) -> tuple[Observation[Any], Ending, Synced | None]:
        """What is there, how the deletion goes on, and what it waits for if a create may be under way."""
        concrete = round.concrete
        observed = await self._observe(round, driver, resource, ours)
        # Where we make the credentials, none means that no create was tried. Of others, nothing tells.
        generated = driver.credentials_from is CredentialsFrom.CONDUCTOR
        tried = ours is not None or concrete.spec.credentials_secret_ref is not None or not generated
        traits = Traits(credentials_from=driver.credentials_from, recreates=driver.recreates)
        awaited = None
        if tried or observed.leftovers:
            slow = driver.call_seconds if isinstance(driver, SlowCalls) else CALL_SECONDS
            settle = self._settle_deleted + max(0.0, slow - CALL_SECONDS)
            awaited = create_awaited(concrete, resource.external_name, traits, settle, self._now())
        ending = decide_deletion(resource, observed, create_under_way=awaited is not None)
        return observed, ending, awaited

    async def _release(self, round: _Round[ConcreteT]) -> None:
        """Make nobody's what outlives its object, so that another object may be given it.

        The object goes all the same where the cloud refuses that; while it only fails, this is tried again.
        """
        concrete = round.concrete
        if not concrete.spec.allows(ManagementPolicy.UPDATE):
            return
        try:
            opened = await self._drivers.of(concrete)
            round.account, driver = opened.account, opened.driver
            name = name_of(concrete, self._default_name(driver, concrete))
            if not isinstance(driver, Releases) or isinstance(name, Synced):
                return
            resource = self._resource(concrete, name, None)
            observed = await driver.observe(resource)
            ours = observed.exists and observed.ownership is Ownership.OURS
            if ours or observed.leftovers:
                await driver.release(resource, observed)
        except Retryable:
            raise
        except ProviderError as error:
            text = f"The external resource stays, and still carries this object's tags: {error}"
            self._cluster.warn(concrete, "NotReleased", text)

    async def _let_go(
        self,
        round: _Round[ConcreteT],
        ours: StoredCredentials | None,
        *,
        foreign: Synced | None,
    ) -> Answer:
        """Let the object go after the external resource. ``foreign``: what is said of one that stays."""
        concrete = round.concrete
        if foreign is not None:
            self._cluster.warn(concrete, foreign.reason, foreign.message)
        if ours is not None:
            await self._cluster.delete_credentials(concrete.metadata.namespace, ours)
        await self._cluster.remove_finalizer(concrete)
        return Done()

    async def _confirm(self, round: _Round[ConcreteT]) -> None:
        if round.confirmed is None:
            asked = self._monotonic()
            await self._cluster.confirm(round.concrete)
            round.confirmed = asked

    async def _observe(
        self,
        round: _Round[ConcreteT],
        driver: Driver[Any, Any],
        resource: Resource[Any, Any],
        stored: StoredCredentials | None,
    ) -> Observation[Any]:
        observed = await driver.observe(resource)
        if not observed.exists or observed.ownership is Ownership.OURS:
            applied = _credentials_in_use(round.concrete, stored, observed)
            round.seen = Seen(
                resource.external_name, round.account, observed, applied, driver.credentials_from
            )
        return observed

    async def _settle(
        self,
        round: _Round[ConcreteT],
        driver: Driver[Any, Any],
        resource: Resource[Any, Any],
        stored: StoredCredentials | None,
        observed: Observation[Any],
        synced: Synced,
        look: Look | float,
    ) -> Answer:
        """Store what the cloud has issued, and write down what is so now."""
        concrete = round.concrete
        name = resource.external_name
        if observed.exists and not may_be_ours(concrete, resource, observed):
            observed = Observation(exists=False)
        elif observed.exists and observed.credentials is not None:
            kept = await self._keep(round, driver.credentials_from, stored, observed)
            if isinstance(kept, Synced):
                return await self._tell(round, kept, Look.LATER)
            stored = kept
        applied = _credentials_in_use(concrete, stored, observed)
        if observes_only(concrete.spec) and stored is not None:
            # Whoever manages it elsewhere says so by naming the Secret.
            applied = Credentials(secret_name=stored.secret_name, revision=stored.revision)
        round.seen = Seen(name, round.account, observed, applied, driver.credentials_from)
        return await self._tell(round, synced, look)

    async def _credentials(
        self, round: _Round[ConcreteT], source: CredentialsFrom
    ) -> StoredCredentials | Synced | None:
        """The credentials that there are, made if they are ours to make; or what keeps us from having them."""
        concrete = round.concrete
        namespace, reference = concrete.metadata.namespace, concrete.spec.credentials_secret_ref
        if source is CredentialsFrom.NOBODY:
            return None
        name = names.credentials_secret_name(concrete.metadata.name)
        if source is CredentialsFrom.CLOUD:
            stored = await self._cluster.credentials(namespace, name)
            return stored if stored is None else not_ours(stored, concrete) or stored
        if reference is not None:
            stored = await self._cluster.credentials(namespace, reference.name)
            if stored is None:
                return out_of_sync(
                    Reason.CREDENTIALS_MISSING,
                    f"Secret {namespace}/{reference.name}, named in spec.credentialsSecretRef, is not there: make it",
                )
            return unusable(stored, concrete) or stored
        if observes_only(concrete.spec):
            return None
        stored = None
        if concrete.status.credentials is not None:
            stored = await self._cluster.credentials(namespace, name)
        if stored is None:
            await self._confirm(round)
            username = concrete.master_username or DEFAULT_MASTER_USERNAME
            new = SecretData({"username": username, "password": self._new_password()})
            rotation = concrete.metadata.annotations.get(ROTATE_REQUESTED_AT)
            stored = await self._cluster.store_credentials(concrete, name, new, rotation, round.account)
        problem = unusable(stored, concrete)
        if problem is not None:
            return problem
        asked = concrete.metadata.annotations.get(ROTATE_REQUESTED_AT)
        if asked is not None and asked != stored.rotated:
            await self._confirm(round)
            new = SecretData({"password": self._new_password()})
            stored = await self._cluster.replace_credentials(concrete, stored, new, asked)
        return stored

    async def _keep(
        self,
        round: _Round[ConcreteT],
        source: CredentialsFrom,
        stored: StoredCredentials | None,
        observed: Observation[Any],
    ) -> StoredCredentials | Synced | None:
        """Make the entries that the cloud gave durable: in a Secret of ours, never in an administrator's."""
        concrete = round.concrete
        entries = observed.credentials or SecretData({})
        if stored is not None and stored.made_for != concrete.uid:
            return stored
        if stored is not None:
            known = all(stored.data.get(key) == value for key, value in entries.items())
            if known and observed.rotated in (None, stored.rotated):
                return stored
            await self._confirm(round)
            return await self._cluster.replace_credentials(concrete, stored, entries, observed.rotated)
        if source is not CredentialsFrom.CLOUD:
            return None
        await self._confirm(round)
        name = names.credentials_secret_name(concrete.metadata.name)
        made = await self._cluster.store_credentials(concrete, name, entries, observed.rotated, round.account)
        return not_ours(made, concrete) or made

    async def _our_credentials(self, concrete: ConcreteT) -> StoredCredentials | None:
        """The Secret that we made for the object, if there is one.

        Where we may not look, and nothing says that credentials were ever used, there is none: to make one takes the
        same rights. Otherwise the object would wait for them for ever.
        """
        name = names.credentials_secret_name(concrete.metadata.name)
        try:
            stored = await self._cluster.credentials(concrete.metadata.namespace, name)
        except Forbidden:
            if concrete.status.credentials is not None:
                raise
            return None
        return stored if stored is not None and stored.made_for == concrete.uid else None

    async def _take(self, round: _Round[ConcreteT], name: str) -> Answer:
        """Record name and account, where they are no fixed function of the object, before anything is made there.

        The message of this very write brings the object back.
        """
        concrete = round.concrete
        status = concrete.status.model_copy(update={"external_name": name, "account": round.account})
        await self._cluster.write_status(concrete, status)
        return RequeueAfter(self._poll.pending)

    async def _tell(self, round: _Round[ConcreteT], synced: Synced, look: Look | float) -> Answer:
        """Write down how it went, with what was seen of the external resource, if it was looked at."""
        concrete, now = round.concrete, self._now()
        if round.seen is not None:
            status = status_of(concrete, round.seen, synced, now)
        else:
            status = status_without_look(concrete, synced, now)
        return await self._report(concrete, status, look)

    async def _report(self, concrete: ConcreteT, status: ConcreteStatus, look: Look | float) -> Answer:
        delay = seconds_until(look, concrete, self._poll, self._random())
        written = await self._cluster.write_status(concrete, status)
        if written is not None:
            if same_wish(concrete.metadata, written):
                self._echoes.remember(concrete.uid, written.resource_version, delay)
            for reason, note in troubles(concrete.status, status):
                self._cluster.warn(concrete, reason, note)
        return Done() if delay is None else RequeueAfter(delay)

    def _resource(
        self, concrete: ConcreteT, name: str, stored: StoredCredentials | None
    ) -> Resource[Any, Any]:
        asked = concrete.metadata.annotations.get(ROTATE_REQUESTED_AT)
        return Resource(
            external_name=name,
            owner=self._owner(concrete),
            spec=concrete.spec,
            status=concrete.status,
            credentials=stored.data if stored is not None else None,
            credentials_applied=stored is not None and concrete.status.credentials == _reference(stored),
            rotation=None if stored is None or asked == stored.rotated else asked,
        )

    def _default_name(self, driver: Driver[Any, Any], concrete: ConcreteT) -> str:
        return default_name(driver, self._owner(concrete), concrete.spec)

    def _owner(self, concrete: ConcreteT) -> Owner:
        return Owner(self._cluster_id, concrete.uid, concrete.metadata.namespace, concrete.metadata.name)


def _goes_on(concrete: Concrete) -> bool:
    """Whether it was deleted, and serves its claims on. What has not been begun, is not begun then."""
    begun = PROVISIONER_FINALIZER in concrete.metadata.finalizers or observes_only(concrete.spec)
    return concrete.deletion_held and begun


def default_name(driver: Driver[Any, Any], owner: Owner, spec: ConcreteSpec) -> str:
    """The external name where neither the status nor an annotation says one: a fixed function of owner and spec."""
    return (
        driver.external_name(owner, spec) if isinstance(driver, NamesItself) else names.external_name(owner)
    )


def _reference(stored: StoredCredentials) -> Credentials:
    return Credentials(secret_name=stored.secret_name, revision=stored.revision)


def _credentials_in_use(
    concrete: Concrete, stored: StoredCredentials | None, observed: Observation[Any]
) -> Credentials | None:
    """The revision that the external resource is known to have: this one, or the one known before."""
    if stored is not None and observed.exists and observed.credentials_applied:
        return _reference(stored)
    return concrete.status.credentials


def _to_record(concrete: Concrete, name: str, opened: Opened) -> bool:
    """Whether name or account would be found out otherwise, should a process die after what comes next."""
    status = concrete.status
    named = status.external_name is None and given_name(concrete) == name
    return named or (opened.to_record and status.account is None)


def _begun_elsewhere(round: _Round[ConcreteT], opened: Opened, stored: StoredCredentials | None) -> bool:
    """Whether the credentials were made for another account than is the default by now: that one is the object's then."""
    if stored is None or stored.made_for != round.concrete.uid or stored.account in (None, opened.account):
        return False
    if not opened.to_record or round.concrete.status.account is not None:
        return False
    round.account = stored.account or opened.account
    return True


def _bounded_soon(observed: Observation[Any]) -> Look | float:
    return observed.poll_after if observed.poll_after is not None else Look.SOON


def _failure(error: ProviderError, reason: Reason) -> Synced:
    synced = out_of_sync(reason, str(error))
    return replace(synced, reason=error.reason) if error.reason is not None else synced


def _forbidden_again(concrete: Concrete, now: datetime) -> float:
    least, most = FORBIDDEN_AGAIN
    told = condition(concrete.status.conditions, ConcreteCondition.SYNCED)
    if told is None or told.reason != Reason.FORBIDDEN or told.last_transition_time is None:
        return least
    return min(most, max(least, (now - told.last_transition_time).total_seconds()))


def _forbidden(concrete: Concrete, error: Forbidden) -> Synced:
    return out_of_sync(
        Reason.FORBIDDEN,
        f"The Kubernetes API refuses a request of the provisioner: {error}. Give it the rights; those on Secrets in "
        f"namespace {concrete.metadata.namespace} come with the chart's values.concreteNamespaces",
    )

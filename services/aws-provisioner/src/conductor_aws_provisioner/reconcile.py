"""The life of an RDSInstance, from top to bottom.

Promises, whatever dies whenever:

- Finalizer and credentials are in the API before the first external create, so exactly one DB instance comes to exist:
  its name is a function of the object, it is looked up first, and whoever takes over finds the same password.
- Nothing external is created, changed or deleted on the word of a message: the API server is asked for that very
  object first, and it must be in the very version that was decided upon. An object that is gone has nothing made for it
  and nothing deleted for it.
- Nothing waits here. While RDS is busy, the handling ends with a time to look again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from time import perf_counter

from conductor_aws_provisioner.cluster import Cluster, Overtaken, StoredCredentials
from conductor_aws_provisioner.credentials import usable
from conductor_aws_provisioner.decide import (
    DEFAULT_MASTER_USERNAME,
    Action,
    AddTags,
    Create,
    Delete,
    Gone,
    Look,
    Modify,
    WantedCredentials,
    create_awaited,
    decide,
    decide_deletion,
    elsewhere,
    next_look,
    seconds_until,
)
from conductor_aws_provisioner.errors import AwsError, Refused, Terminal, Transient
from conductor_aws_provisioner.external import Driver, MasterCredentials, Observed
from conductor_aws_provisioner.metrics import Metrics
from conductor_aws_provisioner.names import Owner, credentials_secret_name
from conductor_aws_provisioner.outcome import Reason, Synced, out_of_sync
from conductor_aws_provisioner.parse import Parsed, parse_instance
from conductor_aws_provisioner.settings import PollIntervals
from conductor_aws_provisioner.status import status_of, status_without_look, troubles
from conductor_bus import Done, MalformedMessage, ObjectMessage, RequeueAfter, Work
from conductor_kube import Forbidden, KubeError
from conductor_model.annotations import PAUSED, PROVISIONER_FINALIZER
from conductor_model.concrete import Credentials, RebindPolicy
from conductor_model.rds import RDSInstance, RDSInstanceStatus
from conductor_provisioner.echoes import Echoes, same_wish

TELL_AFTER_DELIVERIES = 3
"""A failure that passes is told in the status only when it has come back; most never do."""

Answer = Done | RequeueAfter

log = logging.getLogger(__name__)


class Reconciler:
    """Brings one object after the other nearer to what its spec asks for."""

    def __init__(
        self,
        cluster: Cluster,
        driver: Driver,
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
        self._cluster = cluster
        self._driver = driver
        self._cluster_id = cluster_id
        self._poll = poll
        self._settle_deleted = settle_deleted
        self._metrics = metrics
        self._now = now
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
            parsed = parse_instance(message.data)
        except ValueError as error:
            raise MalformedMessage(f"{work.key}: not an RDSInstance") from error
        started = perf_counter()
        result = "Done"
        try:
            return await self._reconcile(parsed, work.cause.deliveries)
        except Overtaken:
            result = "Overtaken"
            return Done()
        except Exception as error:
            result = type(error).__name__
            if isinstance(error, AwsError | KubeError):
                # The work queue names the type only: it cannot know which texts hold no secrets.
                log.info("%s: %s", work.key, error)
            raise
        finally:
            self._metrics.reconcile(parsed.instance.kind, result, perf_counter() - started)

    async def _reconcile(self, parsed: Parsed, deliveries: int) -> Answer:
        instance = parsed.instance
        try:
            held = instance.deletion_held and PROVISIONER_FINALIZER in instance.metadata.finalizers
            going = instance.being_deleted and not held
            return await (self._unmake(instance) if going else self._make(parsed))
        except Transient as error:
            if deliveries >= TELL_AFTER_DELIVERIES:
                await self._tell(instance, out_of_sync(Reason.ERROR, str(error)), Look.SOON)
            raise
        except Terminal as error:
            return await self._tell(instance, out_of_sync(Reason.INVALID_SPEC, str(error)), Look.LATER)
        except Refused as error:
            return await self._tell(instance, out_of_sync(Reason.REFUSED, str(error)), Look.LATER)
        except Forbidden as error:
            log.info("%s: %s", instance.key, error)
            return await self._tell(instance, _forbidden(instance, error), Look.LATER)

    async def _make(self, parsed: Parsed) -> Answer:
        """Towards an external resource that is as the spec asks."""
        instance = parsed.instance
        if parsed.problem is not None:
            return await self._tell(instance, parsed.problem, Look.NEVER)
        if instance.metadata.annotations.get(PAUSED) == "true":
            paused = out_of_sync(Reason.PAUSED, f"Remove the annotation {PAUSED} to go on")
            return await self._tell(instance, paused, Look.NEVER)

        misplaced = elsewhere(instance, self._driver.region, self._driver.account)
        if misplaced is not None:
            return await self._tell(instance, misplaced, Look.LATER)

        confirmed = False
        if PROVISIONER_FINALIZER not in instance.metadata.finalizers:
            instance = await self._cluster.add_finalizer(instance)
            confirmed = True
        elif instance.status.credentials is None:
            await self._cluster.confirm(instance)
            confirmed = True

        found = await self._credentials(instance, confirmed)
        if isinstance(found, Synced):
            look = Look.SOON if found.reason is Reason.CREDENTIALS_MISSING else Look.LATER
            return await self._tell(instance, found, look)
        stored, credentials = found

        owner = self._owner(instance)
        observed = await self._driver.observe(owner.external_name)
        applied = instance.status.credentials
        current = Credentials(secret_name=stored.secret_name, revision=stored.revision)
        plan = decide(instance, owner, WantedCredentials(credentials, applied == current), observed)
        if plan.actions and not confirmed:
            await self._cluster.confirm(instance)
        look = plan.look
        for action in plan.actions:
            observed = await self._carry_out(action, owner, observed)
            if isinstance(action, Create) and observed is not None:
                look = next_look(observed)
            if isinstance(action, Create | Modify) and action.credentials is not None:
                applied = current

        ours = observed if observed is not None and owner.owns(observed.tags) else None
        status = status_of(instance, ours, applied, plan.synced, self._now())
        return await self._report(instance, status, look)

    async def _unmake(self, instance: RDSInstance) -> Answer:
        """Towards nothing being left, if that is the policy. Being paused does not hold a deletion up."""
        if PROVISIONER_FINALIZER not in instance.metadata.finalizers:
            return Done()
        await self._cluster.confirm(instance)
        if instance.spec.rebind_policy is RebindPolicy.RETAIN:
            await self._cluster.remove_finalizer(instance)
            return Done()

        misplaced = elsewhere(instance, self._driver.region, self._driver.account)
        if misplaced is not None:
            return await self._tell(instance, misplaced, Look.LATER)
        owner = self._owner(instance)
        observed = await self._driver.observe(owner.external_name)
        plan = decide_deletion(instance, owner, observed)
        if isinstance(plan, Gone):
            return await self._let_go(instance, owner, plan)
        for action in plan.actions:
            observed = await self._carry_out(action, owner, observed)
        status = status_of(instance, observed, instance.status.credentials, plan.synced, self._now())
        return await self._report(instance, status, plan.look)

    async def _let_go(self, instance: RDSInstance, owner: Owner, gone: Gone) -> Answer:
        """Let the object go after the external resource, unless that may be about to appear."""
        ours = await self._our_credentials(instance)
        # Without credentials no create was tried. Of credentials that are not ours to make, nothing tells.
        tried = ours is not None or instance.spec.credentials_secret_ref is not None
        awaited = create_awaited(instance, owner, self._settle_deleted, self._now())
        if awaited is not None and tried and gone.foreign is None:
            status = status_of(instance, None, instance.status.credentials, awaited, self._now())
            return await self._report(instance, status, Look.SOON)
        if gone.foreign is not None:
            self._cluster.warn(instance, gone.foreign.reason, gone.foreign.message)
        if ours is not None:
            await self._cluster.delete_credentials(instance.metadata.namespace, ours)
        await self._cluster.remove_finalizer(instance)
        return Done()

    async def _credentials(
        self, instance: RDSInstance, confirmed: bool
    ) -> tuple[StoredCredentials, MasterCredentials] | Synced:
        """The master credentials, made if they are ours to make; or what keeps us from having them."""
        namespace = instance.metadata.namespace
        reference = instance.spec.credentials_secret_ref
        stored = None
        if reference is not None:
            stored = await self._cluster.credentials(namespace, reference.name)
            if stored is None:
                return out_of_sync(
                    Reason.CREDENTIALS_MISSING,
                    f"Secret {namespace}/{reference.name}, named in spec.credentialsSecretRef, is not there: make it",
                )
        else:
            name = credentials_secret_name(instance.metadata.name)
            if instance.status.credentials is not None:
                stored = await self._cluster.credentials(namespace, name)
            if stored is None:
                if not confirmed:
                    await self._cluster.confirm(instance)
                username = instance.spec.master_username or DEFAULT_MASTER_USERNAME
                new = MasterCredentials(username, self._new_password())
                stored = await self._cluster.store_credentials(instance, name, new)
        credentials = usable(stored, instance)
        return credentials if isinstance(credentials, Synced) else (stored, credentials)

    async def _our_credentials(self, instance: RDSInstance) -> StoredCredentials | None:
        """The Secret that we made for the object, if there is one.

        Where we may not look, and nothing says that credentials were ever used, there is none: to make one takes the
        same rights. Otherwise the object would wait for them for ever.
        """
        name = credentials_secret_name(instance.metadata.name)
        try:
            stored = await self._cluster.credentials(instance.metadata.namespace, name)
        except Forbidden:
            if instance.status.credentials is not None:
                raise
            return None
        return stored if stored is not None and stored.made_for == instance.uid else None

    async def _carry_out(self, action: Action, owner: Owner, observed: Observed | None) -> Observed | None:
        """What is there after the action, as far as its answer tells."""
        identifier = owner.external_name
        match action:
            case Create(new, credentials):
                return await self._driver.create(new, credentials)
            case Modify(changes, master):
                return await self._driver.modify(identifier, changes, master)
            case AddTags(arn, tags):
                await self._driver.add_tags(arn, tags)
            case Delete(snapshot):
                await self._driver.delete(identifier, snapshot)
        return observed

    async def _tell(self, instance: RDSInstance, synced: Synced, look: Look) -> Answer:
        """Write down what stands in the way, and leave what is known of the external resource as it is."""
        return await self._report(instance, status_without_look(instance, synced, self._now()), look)

    async def _report(self, instance: RDSInstance, status: RDSInstanceStatus, look: Look) -> Answer:
        delay = seconds_until(look, instance, self._poll, self._random())
        written = await self._cluster.write_status(instance, status)
        if written is not None:
            if same_wish(instance.metadata, written):
                self._echoes.remember(instance.uid, written.resource_version, delay)
            for reason, note in troubles(instance.status, status):
                self._cluster.warn(instance, reason, note)
        return Done() if delay is None else RequeueAfter(delay)

    def _owner(self, instance: RDSInstance) -> Owner:
        return Owner(self._cluster_id, instance.uid, instance.metadata.namespace, instance.metadata.name)


def _forbidden(instance: RDSInstance, error: Forbidden) -> Synced:
    return out_of_sync(
        Reason.FORBIDDEN,
        f"The Kubernetes API refuses a request of the aws-provisioner: {error}. Give it the rights; those on Secrets in "
        f"namespace {instance.metadata.namespace} come with the chart's values.concreteNamespaces",
    )

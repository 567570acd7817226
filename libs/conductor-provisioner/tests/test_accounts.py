"""Which account an object lives in, how its driver is opened, and how long its ProviderConfig is kept."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from conductor_bus import Done, ObjectMessage, RequeueAfter, Work
from conductor_model.kind import Kind, Role, v1alpha1
from conductor_model.providerconfig import PROVIDER_CONFIG, ProviderConfig
from conductor_model.refs import ObjectKey
from conductor_provisioner import (
    Account,
    NotLetIn,
    Refused,
    Retryable,
    SecretData,
    Tagged,
    Throttled,
    Transient,
)
from conductor_provisioner.accounts import RETIRED_SECONDS, SECRET_SECONDS, Accounts, ProviderConfigs
from conductor_provisioner.calls import thread_pool
from conductor_provisioner.configs import AMBIENT, Chosen, NoAccount, choose
from conductor_provisioner.gate import Limits
from conductor_provisioner.keeper import Keeper
from conductor_provisioner.metrics import Metrics
from conductor_provisioner.sweep import Sweep

FINALIZER = "box-provisioner.conductor.io/provider-config"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
NAMESPACE = "conductor-system"


def config(
    name: str = "one", *, generation: int = 1, finalizers: Sequence[str] = (FINALIZER,), **spec: Any
) -> Any:
    deleting = spec.pop("deleting", False)
    return ProviderConfig.model_validate(
        {
            "apiVersion": "core.conductor.io/v1alpha1",
            "kind": "ProviderConfig",
            "metadata": {
                "name": name,
                "namespace": spec.pop("namespace", NAMESPACE),
                "uid": f"uid-of-{name}",
                "resourceVersion": "1",
                "generation": generation,
                "finalizers": list(finalizers),
                **({"deletionTimestamp": "2026-11-21T00:00:00Z"} if deleting else {}),
            },
            "spec": {"provider": "unknown", **spec},
        }
    )


def known(*configs: ProviderConfig) -> dict[tuple[str, str], ProviderConfig]:
    return {(each.metadata.namespace, each.metadata.name): each for each in configs}


class TestTheChoice:
    def test_a_reference_wins_over_the_default(self, build: Any) -> None:
        box = build(providerConfigRef={"name": "two"})

        chosen = choose(box, "unknown", known(config("one", default=True), config("two")))

        assert (chosen.account, chosen.to_record) == ("two", False)

    def test_the_default_of_the_namespace_and_provider_is_taken_and_recorded(self, build: Any) -> None:
        others = (
            config("elsewhere", default=True, namespace="team-a"),
            config("of-another", default=True, provider="aws"),
            config("ordinary"),
        )

        chosen = choose(build(), "unknown", known(*others, config("mine", default=True)))

        assert (chosen.account, chosen.to_record) == ("mine", True)
        assert choose(build(), "unknown", known(*others)) == Chosen(None)

    def test_what_was_chosen_before_stays_whatever_becomes_the_default(self, build: Any) -> None:
        both = known(config("one"), config("two", default=True))

        assert choose(build(status={"account": "one"}), "unknown", both).account == "one"
        assert choose(build(status={"account": AMBIENT}), "unknown", both).config is None

    def test_what_was_made_before_there_were_provider_configs_stays_in_the_environments_account(
        self, build: Any
    ) -> None:
        old = build(status={"externalName": "conductor-1"})

        assert choose(old, "unknown", known(config(default=True))).config is None

    @pytest.mark.parametrize(
        ("configs", "told"),
        [
            ((), "there is no ProviderConfig one"),
            ((config(provider="aws"),), "is of the provider aws"),
            ((config(deleting=True),), "is being deleted"),
        ],
    )
    def test_a_reference_that_leads_nowhere_is_told(self, build: Any, configs: Any, told: str) -> None:
        with pytest.raises(NoAccount, match=told):
            choose(build(providerConfigRef={"name": "one"}), "unknown", known(*configs))

    def test_two_defaults_are_told_rather_than_chosen_from(self, build: Any) -> None:
        with pytest.raises(NoAccount, match="one, two are all the default"):
            choose(build(), "unknown", known(config("one", default=True), config("two", default=True)))

    def test_the_word_for_the_environment_is_no_name_of_an_account(self, build: Any) -> None:
        taken = known(config(AMBIENT, default=True))

        for box in (build(), build(providerConfigRef={"name": AMBIENT})):
            with pytest.raises(NoAccount, match="no ProviderConfig can be called ambient"):
                choose(box, "unknown", taken)

    def test_what_lives_by_a_config_that_is_being_deleted_can_still_be_deleted(self, build: Any) -> None:
        box = build(providerConfigRef={"name": "one"}, status={"externalName": "conductor-1"})

        assert choose(box, "unknown", known(config(deleting=True))).account == "one"


class Factory:
    """Opens drivers that are their accounts."""

    def __init__(self) -> None:
        self.opened: list[Account] = []
        self.closed: list[Any] = []
        self.tagged: dict[str, list[Tagged]] = {}

    async def open(self, account: Account) -> Any:
        self.opened.append(account)
        return _Driver(account, self)

    async def close(self, driver: Any) -> None:
        self.closed.append(driver.account)


class _Driver:
    def __init__(self, account: Account, factory: Factory) -> None:
        self.account = account
        self._factory = factory

    async def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]:
        assert cluster_id == "cluster"
        for each in self._factory.tagged.get(self.account.name, []):
            yield each


class Bench:
    """Accounts over ProviderConfigs and Secrets in memory."""

    def __init__(self, box: Any) -> None:
        self.time = 0.0
        self.secrets: dict[str, tuple[str, SecretData]] = {}
        self.secrets_read = 0
        self.configs = ProviderConfigs()
        self.factory = Factory()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.threads = thread_pool()
        self.kind = Kind(v1alpha1("boxes.example.org", "Box", "boxes"), Role.CONCRETE, type(box))
        self.accounts = Accounts(
            "unknown",
            {self.kind.group_kind: self.factory},
            self.configs,
            self.read_secret,
            finalizer=FINALIZER,
            limits=Limits(),
            threads=self.threads,
            metrics=self.metrics,
            tracer=trace.get_tracer("test"),
            monotonic=lambda: self.time,
            random=random.random,
        )

    async def read_secret(self, namespace: str, name: str) -> tuple[str, SecretData] | None:
        self.secrets_read += 1
        return self.secrets.get(name)


@pytest.fixture
def bench(build: Any) -> Any:
    made = Bench(build())
    yield made
    made.threads.shutdown(wait=False)


class TestWrongCredentials:
    @pytest.fixture
    def box(self, bench: Bench, build: Any) -> Any:
        bench.secrets["keys"] = ("7", SecretData({"token": "wrong"}))
        bench.configs.put(config(auth={"source": "Secret", "secretRef": {"name": "keys"}}))
        return build(providerConfigRef={"name": "one"})

    async def test_they_are_tried_once_for_all_resources_until_the_secret_changes(
        self, bench: Bench, box: Any
    ) -> None:
        opened = await bench.accounts.of(box)
        calls, tried = opened.driver.account.calls, []

        async def log_in() -> None:
            tried.append(bench.secrets["keys"][1]["token"])
            if tried[-1] == "wrong":
                raise NotLetIn("LogIn", "x", "28P01", "wrong password")

        for _ in range(5):
            with pytest.raises(NotLetIn, match="wrong password"):
                await calls.awaiting("LogIn", "x", log_in)
        assert tried == ["wrong"]
        bench.time += Limits().locked_out_pause
        with pytest.raises(NotLetIn):
            await calls.awaiting("LogIn", "x", log_in)
        assert tried == ["wrong", "wrong"]

        bench.secrets["keys"] = ("8", SecretData({"token": "right"}))
        tried.clear()
        await (await bench.accounts.of(box)).driver.account.calls.awaiting("LogIn", "x", log_in)
        assert tried == ["right"]

    async def test_a_driver_that_they_do_not_open_is_opened_when_they_change(
        self, bench: Bench, box: Any
    ) -> None:
        open = bench.factory.open
        tried: list[str] = []

        async def incomplete(account: Account) -> Any:
            assert account.secret is not None
            tried.append(account.secret["token"])
            if account.secret["token"] == "wrong":
                raise Refused("Connect", account.name, "Incomplete", "it lacks a key", reason="Incomplete")
            return await open(account)

        bench.factory.open = incomplete  # type: ignore[method-assign]
        for _ in range(3):
            with pytest.raises(NotLetIn, match="lacks a key") as raised:
                await bench.accounts.of(box)
            assert raised.value.reason == "Incomplete"
        assert tried == ["wrong"]

        bench.secrets["keys"] = ("8", SecretData({"token": "right"}))
        bench.time += SECRET_SECONDS
        await bench.accounts.of(box)
        assert tried == ["wrong", "right"]


class TestDrivers:
    async def test_each_account_has_one_driver_with_what_its_config_says(
        self, bench: Bench, build: Any
    ) -> None:
        bench.secrets["keys"] = ("7", SecretData({"token": "x"}))
        auth = {"source": "Secret", "secretRef": {"name": "keys"}}
        bench.configs.put(
            config(
                "one", account="1", region="r1", endpoint="http://one", auth=auth, settings={"root": "/x"}
            ),
            config("two", region="r2"),
        )
        boxes = [build(providerConfigRef={"name": name}) for name in ("one", "one", "two")] + [build()]

        opened = [await bench.accounts.of(each) for each in boxes]

        one, two, ambient = bench.factory.opened
        assert opened[0].driver is opened[1].driver
        assert [each.account for each in opened] == ["one", "one", "two", AMBIENT]
        assert (one.name, one.account, one.region, one.endpoint) == (
            f"{NAMESPACE}/one",
            "1",
            "r1",
            "http://one",
        )
        assert one.secret is not None
        assert one.secret["token"] == "x"
        assert one.settings["root"] == "/x"
        assert (two.region, two.secret) == ("r2", None)
        assert (ambient.name, ambient.region, ambient.secret) == (AMBIENT, None, None)

    async def test_a_changed_config_or_secret_opens_a_new_driver_and_closes_the_old_one_later(
        self, bench: Bench, build: Any
    ) -> None:
        auth = {"source": "Secret", "secretRef": {"name": "keys"}}
        box = build(providerConfigRef={"name": "one"})
        bench.secrets["keys"] = ("7", SecretData({"token": "old"}))
        bench.configs.put(config(auth=auth))
        await bench.accounts.of(box)
        bench.secrets["keys"] = ("8", SecretData({"token": "new"}))

        await bench.accounts.of(box)
        assert len(bench.factory.opened) == 1, "a Secret is believed for a while"
        bench.time += SECRET_SECONDS + 1
        await bench.accounts.of(box)
        bench.configs.put(config(auth=auth, generation=2, region="r2"))
        await bench.accounts.of(box)

        assert [each.secret["token"] for each in bench.factory.opened if each.secret] == ["old", "new", "new"]
        assert bench.factory.closed == []
        bench.time += RETIRED_SECONDS + 1
        bench.configs.put(config(auth=auth, generation=3))
        await bench.accounts.of(box)
        assert len(bench.factory.closed) == 2
        await bench.accounts.close()
        assert len(bench.factory.closed) == len(bench.factory.opened)

    async def test_a_config_is_not_used_before_it_is_protected(self, bench: Bench, build: Any) -> None:
        bench.configs.put(config(finalizers=()))

        with pytest.raises(Retryable):
            await bench.accounts.of(build(providerConfigRef={"name": "one"}))

        assert bench.factory.opened == []

    async def test_before_all_configs_are_known_no_account_is_chosen(self, bench: Bench, build: Any) -> None:
        with pytest.raises(Retryable):
            await bench.accounts.of(build())

        assert bench.factory.opened == []

    async def test_a_driver_goes_with_its_config(self, bench: Bench, build: Any) -> None:
        bench.configs.put(config("one"), config("two"))
        for name in ("one", "two"):
            await bench.accounts.of(build(providerConfigRef={"name": name}))
        bench.configs.put(config("two"))

        await bench.accounts.forget_gone()

        assert [each.name for each in bench.factory.closed] == [f"{NAMESPACE}/one"]

    async def test_a_secret_that_is_not_there_is_told(self, bench: Bench, build: Any) -> None:
        bench.configs.put(config(auth={"source": "Secret", "secretRef": {"name": "keys"}}))

        with pytest.raises(NoAccount, match="Secret keys, named by ProviderConfig one, is not there"):
            await bench.accounts.of(build(providerConfigRef={"name": "one"}))

    async def test_a_throttled_account_is_left_alone_before_anything_is_read_and_others_are_not(
        self, bench: Bench, build: Any
    ) -> None:
        auth = {"source": "Secret", "secretRef": {"name": "keys"}}
        bench.secrets["keys"] = ("7", SecretData({}))
        bench.configs.put(config("one", auth=auth), config("two"))
        one, two = (build(providerConfigRef={"name": name}) for name in ("one", "two"))
        await bench.accounts.of(one)

        async def throttled() -> None:
            raise Throttled("describe", "x", "429", "slow down", retry_after=60)

        with pytest.raises(Throttled):
            await bench.factory.opened[0].calls.awaiting("describe", "x", throttled)
        bench.time += SECRET_SECONDS + 1
        with pytest.raises(Throttled):
            await bench.accounts.of(one)

        await bench.accounts.of(two)
        assert bench.secrets_read == 1


class Store:
    """The API server's part of ProviderConfigs, in memory."""

    def __init__(self, *configs: ProviderConfig) -> None:
        self.configs = {each.metadata.name: each for each in configs}
        self.boxes: list[Any] = []
        self.writes: list[dict[str, Any]] = []
        self.warnings: list[tuple[str, str]] = []
        self.listed: list[str | None] = []

    async def current(self, config: ProviderConfig) -> ProviderConfig | None:
        return self.configs.get(config.metadata.name)

    async def set_finalizers(self, config: ProviderConfig, finalizers: Sequence[str]) -> None:
        meta = config.metadata.model_copy(update={"finalizers": tuple(finalizers)})
        self.configs[meta.name] = config.model_copy(update={"metadata": meta})

    async def write_status(self, config: ProviderConfig, status: dict[str, Any]) -> None:
        old = config.model_dump(mode="json", by_alias=True, exclude_none=True)
        new = ProviderConfig.model_validate({**old, "status": status})
        if new.status != config.status:
            self.writes.append(status)
        self.configs[config.metadata.name] = new

    async def concretes(self, namespace: str | None) -> AsyncIterator[Any]:
        self.listed.append(namespace)
        for each in self.boxes:
            yield each

    def warn(self, config: ProviderConfig, reason: str, note: str) -> None:
        self.warnings.append((reason, note))


def work(about: ProviderConfig, **changes: Any) -> Work:
    key = ObjectKey(PROVIDER_CONFIG.group_kind, NAMESPACE, about.metadata.name)
    message = ObjectMessage(
        key=key,
        uid=about.uid,
        resource_version="1",
        deleted=changes.get("deleted", False),
        data=about.model_dump_json(by_alias=True, exclude_none=True).encode(),
        sequence=1,
        time=NOW,
        traceparent=None,
    )
    return Work(key, message, message)


def keeper(store: Store) -> Keeper:
    return Keeper("unknown", FINALIZER, store, lambda: NOW)


class TestKeeping:
    async def test_a_config_of_ours_is_protected_and_one_of_others_left_alone(self) -> None:
        ours, others = config("ours", finalizers=()), config("others", finalizers=(), provider="aws")
        store = Store(ours, others)

        for each in (ours, others):
            assert await keeper(store).handle(work(each)) == Done()

        assert store.configs["ours"].metadata.finalizers == (FINALIZER,)
        assert store.configs["others"].metadata.finalizers == ()

    @pytest.mark.parametrize("user", [{"providerConfigRef": {"name": "one"}}, {"status": {"account": "one"}}])
    async def test_one_in_use_stays_and_says_by_whom_until_the_last_is_gone(
        self, build: Any, user: Any
    ) -> None:
        deleted = config(deleting=True)
        store = Store(deleted)
        store.boxes = [build(**user), build(status={"account": "another"})]

        for _ in range(2):
            assert isinstance(await keeper(store).handle(work(deleted)), RequeueAfter)

        (status,) = store.writes
        (in_use,) = status["conditions"]
        assert (in_use["type"], in_use["status"]) == ("InUse", "True")
        assert "stays until these are gone: Box orders" in in_use["message"]
        assert [reason for reason, _ in store.warnings] == ["InUse"]
        assert store.configs["one"].metadata.finalizers == (FINALIZER,)
        store.boxes.pop(0)
        assert await keeper(store).handle(work(deleted)) == Done()
        assert store.configs["one"].metadata.finalizers == ()

    async def test_a_deletion_in_a_message_is_not_believed_when_the_object_is_another(self) -> None:
        store = Store(config())

        await keeper(store).handle(work(config(deleting=True)))

        assert store.configs["one"].metadata.finalizers == (FINALIZER,)
        assert store.listed == []


class TestSweeping:
    @pytest.fixture
    def store(self, bench: Bench) -> Store:
        bench.configs.put(config())
        return Store(config())

    @pytest.fixture
    def sweep(self, bench: Bench, store: Store) -> Sweep:
        return Sweep(
            bench.accounts,
            (bench.kind,),
            store,
            bench.metrics,
            cluster_id="cluster",
            now=lambda: NOW,
            random=random.random,
        )

    async def test_what_no_object_stands_for_is_reported_by_metric_event_and_list(
        self, bench: Bench, store: Store, sweep: Sweep, build: Any
    ) -> None:
        box = build()
        store.boxes = [box]
        bench.factory.tagged = {
            f"{NAMESPACE}/one": [Tagged("alive", box.uid, "a box"), Tagged("left", "gone", "a box in r1")],
            AMBIENT: [Tagged("lost", "also-gone", "a box")],
        }

        for _ in range(2):
            await sweep.once()

        found = {each.account: [orphan.external_name for orphan in each.orphans] for each in sweep.found}
        assert found == {AMBIENT: ["lost"], f"{NAMESPACE}/one": ["left"]}
        for account in found:
            labels = {"account": account, "kind": "Box"}
            assert bench.registry.get_sample_value("conductor_orphans", labels) == 1
        (status,) = store.writes
        assert [each["externalName"] for each in status["orphans"]] == ["left"]
        assert [reason for reason, _ in store.warnings] == ["OrphansFound"]
        bench.factory.tagged = {}
        await sweep.once()
        assert store.configs["one"].status.orphans == ()
        assert store.configs["one"].status.conditions[0].status == "False"

    async def test_a_second_external_resource_of_one_object_is_reported(
        self, bench: Bench, store: Store, sweep: Sweep, build: Any
    ) -> None:
        box = build(status={"externalName": "recorded"})
        store.boxes = [box]
        bench.factory.tagged = {
            AMBIENT: [Tagged("recorded", box.uid, "a box"), Tagged("double", box.uid, "a box")],
        }

        await sweep.once()

        found = {each.account: [orphan.external_name for orphan in each.orphans] for each in sweep.found}
        assert found[AMBIENT] == ["double"]

    async def test_tags_that_somebody_has_filled_with_much_text_hide_no_orphan(
        self, bench: Bench, store: Store, sweep: Sweep
    ) -> None:
        forged = Tagged("n" * 2000, "u" * 2000, "d" * 2000)
        bench.factory.tagged = {f"{NAMESPACE}/one": [forged, Tagged("left", "gone", "a box")]}

        await sweep.once()

        (status,) = store.writes
        names = [each["externalName"] for each in status["orphans"]]
        assert names == ["n" * 1024, "left"]

    async def test_where_there_is_nothing_nothing_is_written(self, store: Store, sweep: Sweep) -> None:
        await sweep.once()

        assert store.writes == []
        assert store.listed == [], "no object is listed for nothing"

    async def test_what_goes_along_with_its_object_meanwhile_is_no_orphan(
        self, bench: Bench, store: Store, sweep: Sweep
    ) -> None:
        bench.factory.tagged = {AMBIENT: [Tagged("going", "gone", "a box")]}

        async def and_then_it_is_gone(namespace: str | None) -> AsyncIterator[Any]:
            bench.factory.tagged = {}
            for nothing in ():
                yield nothing

        store.concretes = and_then_it_is_gone  # type: ignore[method-assign]
        await sweep.once()

        assert [each.orphans for each in sweep.found if each.account == AMBIENT] == [()]

    async def test_a_list_that_fails_yields_no_report(self, bench: Bench, store: Store, sweep: Sweep) -> None:
        bench.factory.tagged = {AMBIENT: [Tagged("somewhere", "uid", "a box")]}

        async def fails(namespace: str | None) -> AsyncIterator[Any]:
            raise Transient("list", "boxes", "503", "no")
            yield

        store.concretes = fails  # type: ignore[method-assign]
        await sweep.once()

        assert [each.account for each in sweep.found] == [f"{NAMESPACE}/one"]

    async def test_an_account_whose_driver_breaks_keeps_no_other_from_being_swept(
        self, bench: Bench, store: Store, sweep: Sweep, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench.factory.tagged = {AMBIENT: [Tagged("somewhere", "uid", "a box")]}

        async def breaks(namespace: str | None) -> AsyncIterator[Any]:
            raise ZeroDivisionError("the-secret")
            yield

        store.concretes = breaks  # type: ignore[method-assign]
        await sweep.once()

        assert [each.account for each in sweep.found] == [f"{NAMESPACE}/one"]
        assert "ambient is not swept for orphans: ZeroDivisionError" in caplog.text
        assert "the-secret" not in caplog.text

"""Where cases are tried: a running Conductor with every service, and what is looked at to see that nothing broke."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import requests
from cases import CLASSES, CONFIGS, SYSTEM, TEAMS, Case
from furniture import CANARIES, furnish
from schemas import schemas

from conductor_bus import Bus, BusConfig, DeadLetter
from conductor_dev.api import Json
from conductor_dev.controlplane import EmbeddedControlPlane
from conductor_dev.environment import Environment
from conductor_dev.errors import ApiError
from conductor_dev.waiting import wait_until
from conductor_model.kind import Role
from conductor_model.kinds import BUCKET, MYSQL_INSTANCE, OWN_KINDS, POSTGRESQL_INSTANCE
from conductor_model.refs import ResourceType

TOLD_WITHIN = 90.0
GONE_WITHIN = 90.0
CANARY_WITHIN = 90.0
"""Seconds. All of them for a machine that is busy: what does not come at all is what these find."""
MOST_WRITES = 40
"""Of one object, ours not counted. A life takes about ten; who goes on writing is far beyond it soon."""
QUIET = 3.0
BUSY_SHARE = 0.5
"""Of a core. A service with nothing to do but looking after what is there takes a few hundredths."""
_FIELDS = frozenset().union({"metadata", "apiVersion", "kind"}, *(schema.fields for schema in schemas()))
_INVALID = range(400, 500)
_TOO_LARGE = 413
_NOT_FOUND = 404
_CONFLICT = 409

Key = tuple[ResourceType, str, str]


@dataclass
class Tally:
    """What became of the cases."""

    accepted: int = 0
    refused: int = 0
    changes_accepted: int = 0
    changes_refused: int = 0
    most_writes: int = 0
    canary_seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Every promise that was broken."""


@dataclass
class Arena:
    """A running Conductor."""

    env: Environment
    tally: Tally = field(default_factory=Tally)
    _read: dict[Path, int] = field(default_factory=dict)
    _own_writes: dict[Key, int] = field(default_factory=dict)
    _canaries: int = 0

    @classmethod
    @contextmanager
    def start(cls, folder: Path) -> Iterator[Self]:
        with Environment.start(folder, rds_delay=0) as env:
            env.cloudsql.set_operation_seconds(0)
            env.start_services(on_demand=True)
            arena = cls(env)
            furnish(env)
            yield arena

    def play(self, batch: Sequence[Case]) -> None:
        """Makes the batch's objects, changes them, looks, deletes them, and looks again; what is wrong is in `tally`."""
        pids = self._pids()
        with self._canary():
            accepted = [case for case in batch if self._make(case)]
            for case in accepted:
                self._change(case)
            self._wait_until_told(accepted)
        self._count_writes(batch)
        self._delete(accepted)
        self._look_at_services(pids, batch)

    def come_to_rest(self) -> None:
        """With everything deleted nobody writes and nobody is busy."""
        before: dict[str, int] = {}

        def quiet() -> bool:
            nonlocal before
            self._force_away(self._left())
            earlier, before = (
                before,
                {"/".join(map(str, key)): count for key, count in self._versions().items()},
            )
            if earlier == before:
                return True
            time.sleep(QUIET)
            return False

        wait_until("nobody writes any more", quiet, timeout=120, interval=0.1)
        cpu, began = self._cpu(), time.monotonic()
        time.sleep(QUIET)
        passed = time.monotonic() - began
        for name, seconds in self._cpu().items():
            if (seconds - cpu[name]) / passed > BUSY_SHARE:
                self.tally.wrong.append(
                    f"{name} is busy with nothing: {seconds - cpu[name]:.1f} s in {passed:.1f} s"
                )

    async def dead_letters(self) -> list[DeadLetter]:
        bus = await Bus.connect(self.env.nats_url, name="fuzz", config=BusConfig())
        try:
            return [letter async for letter in bus.dead_letters()]
        finally:
            await bus.close()

    # What people do.

    def _make(self, case: Case) -> bool:
        path = case.schema.kind.type.path(case.namespace)
        validation = "Strict" if case.strict else "Ignore"
        made = self._ask(case, "POST", path, case.manifest, {"fieldValidation": validation})
        self.tally.accepted += made
        self.tally.refused += not made
        return made

    def _change(self, case: Case) -> None:
        for change in case.changes:
            path = case.schema.kind.type.path(case.namespace, case.name, "status" if change.status else None)
            done = self._ask(case, "PATCH", path, change.patch, {})
            self._own_writes[_key(case)] = self._own_writes.get(_key(case), 0) + done
            self.tally.changes_accepted += done
            self.tally.changes_refused += not done

    def _ask(self, case: Case, method: str, path: str, body: Json, query: dict[str, str]) -> bool:
        """Whether the API server took it. A refusal must say what is wrong with which field."""
        content = "application/json" if method == "POST" else "application/merge-patch+json"
        try:
            self.env.api.request(method, path, query=query, body=body, content_type=content)
        except ApiError as error:
            gone = method == "PATCH" and error.status in (_NOT_FOUND, _CONFLICT)
            if error.status not in _INVALID:
                self._wrong(case, f"{method} was answered with {error}")
            elif not gone and error.status != _TOO_LARGE and not any(name in str(error) for name in _FIELDS):
                self._wrong(case, f"the refusal names no field: {error}")
            return False
        return True

    def _delete(self, cases: Sequence[Case]) -> None:
        for case in cases:
            self.env.api.delete(case.schema.kind.type, case.namespace, case.name)
        made = {_key(case): case for case in cases}
        left: dict[Key, Json] = {}

        def gone() -> bool:
            nonlocal left
            left = self._left()
            for (kind, namespace, name), found in left.items():
                foreign = [
                    each for each in found["metadata"].get("finalizers", ()) if _is_foreign(each, found)
                ]
                if foreign:
                    kept = [each for each in found["metadata"]["finalizers"] if each not in foreign]
                    self._patch(kind, namespace, name, {"metadata": {"finalizers": kept}})
                if "deletionTimestamp" not in found["metadata"]:
                    self.env.api.delete(kind, namespace, name)
            return all(_says_why_it_stays(found) for found in left.values())

        try:
            wait_until("what was made is gone, or says why not", gone, timeout=GONE_WITHIN, interval=0.3)
        except Exception:
            for key, found in left.items():
                if not _says_why_it_stays(found):
                    self.tally.wrong.append(
                        f"{made.get(key, key)} is not gone, and does not say why: {_told(found)}"
                    )
        self._force_away(left)

    def _force_away(self, left: dict[Key, Json]) -> None:
        """What an administrator does about what cannot be deleted."""
        for kind, namespace, name in left:
            self._patch(kind, namespace, name, {"metadata": {"finalizers": None}})
            self.env.api.delete(kind, namespace, name)

    def _patch(self, kind: ResourceType, namespace: str, name: str, patch: Json) -> None:
        try:
            self.env.api.merge_patch(kind, namespace, name, patch)
        except ApiError as error:
            if error.status not in (_NOT_FOUND, _CONFLICT):
                raise

    # What is looked at.

    def _wait_until_told(self, cases: Sequence[Case]) -> None:
        """Until every object that was accepted says what became of it, in its present generation."""
        waiting = {_key(case): case for case in cases if not case.rewrites_status}
        silent: dict[Key, Json] = {}

        def told() -> bool:
            nonlocal silent
            found = self._objects()
            silent = {key: found[key] for key in waiting if key in found and not _tells(found[key])}
            return not silent

        try:
            wait_until("every object tells what became of it", told, timeout=TOLD_WITHIN, interval=0.3)
        except Exception:
            for key, found in silent.items():
                self._wrong(
                    waiting[key],
                    f"nothing is said of generation {found['metadata']['generation']}: {_told(found)}",
                )

    @contextmanager
    def _canary(self) -> Iterator[None]:
        """Healthy claims that are made with what happens inside become Ready, and are deleted afterwards."""
        self._canaries += 1
        name, began = f"canary-{self._canaries}", time.monotonic()
        kinds = {
            MYSQL_INSTANCE: ("good-rds", "good-cloudsql"),
            POSTGRESQL_INSTANCE: ("good-sql",),
            BUCKET: ("good-s3",),
        }
        made = [(kind, f"{name}-{source}", source) for kind, sources in kinds.items() for source in sources]
        for kind, each, source in made:
            body = {
                "apiVersion": kind.gvk.api_version,
                "kind": kind.gvk.kind,
                "metadata": {"name": each, "namespace": CANARIES},
                "spec": {"resourceClass": source},
            }
            self.env.api.create(kind, CANARIES, body)
        yield
        for kind, each, _ in made:
            try:
                self.env.api.wait_for(
                    kind,
                    CANARIES,
                    each,
                    lambda found: _condition(found, "Ready").get("status") == "True",
                    timeout=CANARY_WITHIN,
                )
            except Exception:
                self.tally.wrong.append(f"{each} is held up: {_told(self.env.api.get(kind, CANARIES, each))}")
        self.tally.canary_seconds.append(time.monotonic() - began)
        for kind, each, _ in made:
            self.env.api.delete(kind, CANARIES, each)

    def _count_writes(self, batch: Sequence[Case]) -> None:
        cases = {_key(case): case for case in batch}
        for key, version in self._versions().items():
            writes = version - 1 - self._own_writes.get(key, 0)
            self.tally.most_writes = max(self.tally.most_writes, writes)
            if writes > MOST_WRITES:
                self.tally.wrong.append(f"{cases.get(key, key)} was written {writes} times")

    def _look_at_services(self, pids: dict[str, int | None], batch: Sequence[Case]) -> None:
        where = f"cases {batch[0].number} to {batch[-1].number}"
        for service in self.env.services:
            if not service.alive or service.pid != pids[service.name]:
                self.tally.wrong.append(f"{service.name} died of {where}")
                service.start()
                service.wait_ready()
            for line in self._new_lines(self.env.logs / f"{service.name}.log"):
                if _is_trouble(line):
                    self.tally.wrong.append(f"{service.name} said, of {where}: {line[:2000]}")

    def _new_lines(self, log: Path) -> list[str]:
        with log.open("rb") as file:
            file.seek(self._read.get(log, 0))
            text = file.read()
            self._read[log] = file.tell()
        return text.decode(errors="replace").splitlines()

    def _objects(self) -> dict[Key, Json]:
        """Every object of Conductor's kinds where cases are."""
        return {
            (kind.type, each["metadata"]["namespace"], each["metadata"]["name"]): each
            for kind in OWN_KINDS
            for each in self.env.api.list(kind.type)
            if each["metadata"]["namespace"] in (*TEAMS, SYSTEM)
        }

    def _left(self) -> dict[Key, Json]:
        """What is there of the cases, and what was made for them: all but what is in order."""
        return {
            key: found
            for key, found in self._objects().items()
            if key[2] not in (*CLASSES, *CONFIGS)
            and CANARIES not in [ref["namespace"] for ref in found.get("spec", {}).get("claimRefs", ())]
        }

    def _versions(self) -> dict[Key, int]:
        """How often each object was written since it was made, itself counted: etcd knows."""
        control_plane = self.env.control_plane
        assert isinstance(control_plane, EmbeddedControlPlane), "writes are counted in etcd: it must be ours"
        [url] = [
            each.partition("=")[2]
            for each in control_plane.etcd.command
            if each.startswith("--listen-client-urls=")
        ]
        found: dict[Key, int] = {}
        for kind in OWN_KINDS:
            prefix = f"/registry/{kind.type.gvk.group}/{kind.type.plural}/"
            asked = {"key": _encoded(prefix), "range_end": _encoded(prefix[:-1] + "0"), "keys_only": True}
            answer = requests.post(f"{url}/v3/kv/range", json=asked, timeout=30).json()
            for each in answer.get("kvs", ()):
                namespace, name = base64.b64decode(each["key"]).decode().removeprefix(prefix).split("/")
                found[kind.type, namespace, name] = int(each["version"])
        return found

    def _pids(self) -> dict[str, int | None]:
        return {service.name: service.pid for service in self.env.services}

    def _cpu(self) -> dict[str, float]:
        """Seconds of CPU that each service has taken."""
        return {each.name: _metric(each.metrics(), "process_cpu_seconds_total") for each in self.env.services}

    def _wrong(self, case: Case, what: str) -> None:
        self.tally.wrong.append(f"{case}: {what}\n  {json.dumps(case.manifest)[:1500]}")


def _key(case: Case) -> Key:
    return case.schema.kind.type, case.namespace, case.name


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _metric(text: str, name: str) -> float:
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


_SAYS: dict[Role, Callable[[Json], bool]] = {
    Role.CLAIM: lambda found: _is_current(found, "Scheduled"),
    Role.CONCRETE: lambda found: _is_current(found, "Synced"),
    Role.QUOTA: lambda found: (
        found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
    ),
}
"""What has something to say about itself; of the other kinds, claims and resources speak."""
_ROLES = {kind.group_kind.kind: kind.role for kind in OWN_KINDS}


def _tells(found: Json) -> bool:
    says = _SAYS.get(_ROLES[found["kind"]])
    return says is None or says(found) or "deletionTimestamp" in found["metadata"]


def _is_current(found: Json, condition: str) -> bool:
    said = _condition(found, condition)
    return said.get("observedGeneration") == found["metadata"]["generation"] and bool(said.get("reason"))


def _says_why_it_stays(found: Json) -> bool:
    return _ROLES[found["kind"]] is Role.CONCRETE and _condition(found, "Synced").get("status") == "False"


def _is_foreign(finalizer: str, found: Json) -> bool:
    """Whether nobody of Conductor's would take it away: a claim's in particular, for none of them puts one there."""
    return _ROLES[found["kind"]] is not Role.CONCRETE or not finalizer.endswith(
        ("conductor.io/external-resource", "conductor.io/in-use")
    )


def _condition(found: Json, kind: str) -> Json:
    return next((each for each in found.get("status", {}).get("conditions", ()) if each["type"] == kind), {})


def _told(found: Json) -> str:
    said = {
        each["type"]: f"{each['status']} {each['reason']}: {each['message'][:300]}"
        for each in found.get("status", {}).get("conditions", ())
    }
    finalizers, gone = found["metadata"].get("finalizers"), found["metadata"].get("deletionTimestamp")
    return f"{said} finalizers {finalizers} deleted {gone} {json.dumps(found.get('spec'))[:1000]}"


def _is_trouble(line: str) -> bool:
    """A traceback, or what a service itself calls an error."""
    try:
        entry = json.loads(line)
    except ValueError:
        return bool(line.strip())
    return "exception" in entry or entry["level"] in ("error", "critical")

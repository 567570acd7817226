"""The manifests of a run, drawn from a seed before anything is applied. Pure: the same seed gives the same cases.

Half are generated from the CRDs' schemas, half are the examples with something wrong in them. Most are changed after
they were made, some by an administrator who writes a status by hand.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hostile import KEYS, POOL, QUANTITIES, TEXTS, TIMES, VERSIONS, Generator, anything
from schemas import Schema, examples, schemas

from conductor_dev.api import Json
from conductor_model.annotations import (
    AVAILABLE_AGAIN,
    EXTERNAL_NAME,
    IN_USE_FINALIZER,
    PAUSED,
    POLL_INTERVAL,
    PROVISIONER_FINALIZER,
    RECONCILE_REQUESTED_AT,
    ROTATE_REQUESTED_AT,
    TRACEPARENT,
)
from conductor_model.kind import Role

SYSTEM = "conductor-system"
TEAMS = tuple(f"fuzz-{number}" for number in range(4))
LIMITED = TEAMS[:2]
"""Where quotas and limit ranges are put: elsewhere claims get as far as they can."""
CLASSES = ("good-rds", "good-sql", "good-s3", "good-cloudsql")
"""Classes that are in order: a claim may name one."""
CONFIGS = ("good-sql", "bad-secret", "no-secret")
SECRETS = (
    "secret-empty",
    "secret-binary",
    "secret-words",
    "secret-key-json",
    "secret-huge",
    "secret-nobody-made",
)

_WEIGHTS = {
    Role.CLAIM: 5,
    Role.CONCRETE: 5,
    Role.CLASS: 4,
    Role.QUOTA: 2,
    Role.LIMIT_RANGE: 2,
    Role.PROVIDER_CONFIG: 3,
}
_CHANGED = 0.6
_STATUS_BY_HAND = 0.15
_BAD_METADATA = 0.3


@dataclass(frozen=True)
class Change:
    """A merge patch, of the object or of its status."""

    patch: Json
    status: bool = False


@dataclass(frozen=True)
class Case:
    """An object that somebody makes, changes, and deletes."""

    number: int
    schema: Schema
    manifest: Json
    strict: bool
    """Whether fields that nobody knows are to be refused, or dropped."""
    changes: tuple[Change, ...]

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.manifest["metadata"]["namespace"])

    @property
    def rewrites_status(self) -> bool:
        return any(change.status for change in self.changes)

    def __str__(self) -> str:
        return f"case {self.number}: {self.schema.kind.group_kind} {self.namespace}/{self.name}"


def draw(seed: int, count: int) -> list[Case]:
    """That many cases. Each is a function of the seed and its number alone."""
    known, shown = schemas(), examples()
    return [_case(random.Random(f"{seed}/{number}"), number, known, shown) for number in range(count)]


def _case(rng: random.Random, number: int, known: tuple[Schema, ...], shown: tuple[Json, ...]) -> Case:
    [schema] = rng.choices(known, [_WEIGHTS[each.kind.role] for each in known])
    names = (
        *CLASSES,
        *CONFIGS,
        *SECRETS,
        *TEAMS,
        SYSTEM,
        *(_name(max(0, number - back)) for back in range(4)),
    )
    generator = Generator(rng, names, malice=rng.choice((0.0, 0.0, 0.01, 0.05)))
    alike = [each for each in shown if each["kind"] == schema.kind.group_kind.kind]
    if alike and rng.random() < 0.5:
        manifest = copy.deepcopy(rng.choice(alike))
        _point_at_what_is_here(rng, manifest)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            _damage(rng, manifest, generator, schema)
    else:
        manifest = _body(generator, schema)
    gvk = schema.kind.type.gvk
    manifest |= {"apiVersion": gvk.api_version, "kind": gvk.kind}
    manifest["metadata"] = _metadata(rng, number, schema)
    changes = tuple(_changes(rng, generator, schema, manifest))
    return Case(number, schema, manifest, rng.random() < 0.7, changes)


def _name(number: int) -> str:
    return f"f{number:05}"


def _body(generator: Generator, schema: Schema) -> Json:
    properties = {
        name: node
        for name, node in schema.root["properties"].items()
        if name not in ("apiVersion", "kind", "metadata", "status")
    }
    made = generator.value({**schema.root, "properties": properties})
    return made if isinstance(made, dict) else {"spec": made}


def _point_at_what_is_here(rng: random.Random, manifest: Json) -> None:
    """The examples name a server and a Secret that are not in this cluster."""
    spec = manifest.get("template", manifest).get("spec", {})
    if isinstance(spec.get("providerConfigRef"), dict):
        spec["providerConfigRef"]["name"] = rng.choice(CONFIGS)
    if isinstance(spec.get("auth", {}).get("secretRef"), dict):
        spec["auth"]["secretRef"]["name"] = rng.choice(SECRETS)


def _damage(rng: random.Random, manifest: Json, generator: Generator, schema: Schema) -> None:
    """One thing wrong, anywhere below the top."""
    places = [
        (holder, key)
        for holder, key in _places(manifest)
        if not (holder is manifest and key in ("apiVersion", "kind", "metadata"))
    ]
    if not places:
        manifest["spec"] = anything(rng)
        return
    holder, key = rng.choice(places)
    match rng.randrange(8):
        case 0:
            del holder[key]
        case 1:
            holder[key] = anything(rng)
        case 2:
            holder[key] = rng.choice(TEXTS)
        case 3 if isinstance(holder, dict):
            holder[rng.choice((*KEYS, "colour", *sorted(schema.fields)))] = anything(rng)
        case 4 if isinstance(holder[key], list):
            holder[key] = holder[key] * rng.choice((2, 50))
        case 5:
            holder[key] = rng.choice((*VERSIONS, *QUANTITIES))
        case 6:
            manifest |= {
                name: value for name, value in _body(generator, schema).items() if name not in manifest
            }
        case _:
            holder[key] = rng.choice((None, [], {}, "", 0, -1, True, str(holder[key]), [holder[key]]))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: the dict or list that holds it, and its key."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(entries):
        yield node, key
        yield from _places(value)


def _metadata(rng: random.Random, number: int, schema: Schema) -> Json:
    home = {Role.CLAIM: TEAMS, Role.QUOTA: LIMITED, Role.LIMIT_RANGE: LIMITED}
    elsewhere = rng.random() < 0.03
    namespaces = home.get(schema.kind.role, (SYSTEM,)) if not elsewhere else (*TEAMS, SYSTEM)
    metadata: Json = {"name": _name(number), "namespace": rng.choice(namespaces)}
    if rng.random() < 0.05:
        metadata["name"] = _name(number) + rng.choice(
            ("." * 3, ".a" * 20, "-" + "x" * 50, "x" * 247, "A", "\u0131")
        )
    if rng.random() < _BAD_METADATA:
        metadata |= _bad_metadata(rng)
    return metadata


def _bad_metadata(rng: random.Random) -> Json:
    """Labels, annotations, finalizers and owners that mean something to Conductor or to Kubernetes."""
    ours = (
        *(EXTERNAL_NAME, PAUSED, POLL_INTERVAL, RECONCILE_REQUESTED_AT, ROTATE_REQUESTED_AT, TRACEPARENT),
        AVAILABLE_AGAIN,
    )
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    values = (
        *TEXTS,
        *TIMES,
        trace,
        trace + "\r\nNats-TTL: 1s",
        "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        "1s",
        "0s",
        "-5m",
    )
    chosen: Json = {}
    if rng.random() < 0.8:
        chosen["annotations"] = {rng.choice(ours): rng.choice(values) for _ in range(rng.choice((1, 1, 2)))}
    if rng.random() < 0.3:
        chosen["labels"] = {rng.choice(KEYS): rng.choice(TEXTS) for _ in range(rng.choice((1, 2)))}
    if rng.random() < 0.3:
        chosen["finalizers"] = rng.sample(
            (PROVISIONER_FINALIZER, IN_USE_FINALIZER, "example.org/mine", "conductor.io/unknown"), 2
        )
    if rng.random() < 0.15:
        nobody = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "nobody",
            "uid": rng.choice(("no-such-uid", "x" * 300)),
        }
        chosen["ownerReferences"] = [nobody]
    if rng.random() < 0.1:
        field = rng.choice(
            ("labels", "annotations", "finalizers", "ownerReferences", "uid", "resourceVersion")
        )
        chosen[field] = anything(rng)
    return chosen


def _changes(rng: random.Random, generator: Generator, schema: Schema, manifest: Json) -> Iterator[Change]:
    while rng.random() < _CHANGED:
        status = schema.root["properties"].get("status")
        if status is not None and rng.random() < _STATUS_BY_HAND:
            yield Change({"status": generator.value(status, "status")}, status=True)
        elif rng.random() < 0.2:
            yield Change({"metadata": _bad_metadata(rng)})
        elif rng.random() < 0.5:
            changed = copy.deepcopy(manifest)
            _damage(rng, changed, generator, schema)
            yield Change({name: value for name, value in changed.items() if name != "metadata"})
        else:
            yield Change(_body(generator, schema))


__all__ = ["CLASSES", "CONFIGS", "POOL", "SECRETS", "SYSTEM", "TEAMS", "Case", "Change", "draw"]

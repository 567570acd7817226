"""A package with one module adds a claim kind, and a concrete kind for it, to every service: none of them is changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from conductor_model.kinds import BY_GROUP_KIND, KindsConflict, installed, registered

HERE = Path(__file__).parent
QUEUE, TIN_QUEUE = ("toys.example.com", "Queue"), ("tin.toys.example.com", "TinQueue")
CLAIM_UID, CONCRETE_UID = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def manifest(kind: tuple[str, str], name: str, uid: str, **content: Any) -> dict[str, Any]:
    group, called = kind
    metadata = {"name": name, "namespace": "play", "uid": uid, "resourceVersion": "1", "generation": 1}
    return {"apiVersion": f"{group}/v1alpha1", "kind": called, "metadata": metadata, **content}


def claim(name: str = "orders", *, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return manifest(QUEUE, name, CLAIM_UID, spec=spec, status=status or {})


def tin_queue(*, refs: tuple[dict[str, Any], ...] = (), **spec: Any) -> dict[str, Any]:
    status = {
        "phase": "Available",
        "conditions": [{"type": "Ready", "status": "True", "reason": "Available", "message": ""}],
        "credentials": {"secretName": "tin-credentials", "revision": "1"},
    }
    return manifest(TIN_QUEUE, "tin-1", CONCRETE_UID, spec={"claimRefs": refs, **spec}, status=status)


TIN_CLASS: dict[str, Any] = {
    **manifest(("core.conductor.io", "ResourceClass"), "tin", "00000000-0000-4000-8000-000000000003"),
    "template": {
        "apiVersion": "tin.toys.example.com/v1alpha1",
        "kind": "TinQueue",
        "spec": {"fifo": True, "label": "plain"},
    },
}
BOUND = {
    "phase": "Bound",
    "boundResource": {
        "apiVersion": "tin.toys.example.com/v1alpha1",
        "kind": "TinQueue",
        "namespace": "play",
        "name": "tin-1",
        "uid": CONCRETE_UID,
    },
}
REF = {
    "apiVersion": "toys.example.com/v1alpha1",
    "kind": "Queue",
    "namespace": "play",
    "name": "orders",
    "uid": CLAIM_UID,
}


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    """Asks services in whose environment the package is installed, as pip would have installed it."""
    (tmp_path / "queue_kind.py").write_text((HERE / "queue_kind.py").read_text())
    described = tmp_path / "queue_kind-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: queue-kind\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[conductor.kinds]\nqueue = queue_kind:KINDS\n")

    def answer(**asked: Any) -> dict[str, Any]:
        question = {
            "kinds": [QUEUE, TIN_QUEUE],
            "world": [],
            "claims": [],
            "connect": [claim(), tin_queue(), {}],
            **asked,
        }
        done = subprocess.run(
            [sys.executable, str(HERE / "services_that_know_it.py")],
            input=json.dumps(question),
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        answered: dict[str, Any] = json.loads(done.stdout)
        return answered

    return answer


def test_it_is_not_known_where_the_package_is_not_installed() -> None:
    assert not {QUEUE, TIN_QUEUE} & {(each.group, each.kind) for each in BY_GROUP_KIND}


def test_it_has_a_definition_is_watched_and_is_handled(ask: Any) -> None:
    answer = ask()
    assert answer["crds"] == ["queues.toys.example.com", "tinqueues.tin.toys.example.com"]
    assert answer["watched"] == answer["handled"] == [True, True]


def test_its_claims_are_matched_by_its_own_rules(ask: Any) -> None:
    claims = [claim(), claim(order="Fifo")]
    in_order, out_of_order = (
        ask(world=[tin_queue(fifo=fifo)], claims=claims)["scheduled"] for fifo in (True, False)
    )
    assert in_order == [{"binds": "tin-1"}, {"binds": "tin-1"}]
    assert out_of_order[0] == {"binds": "tin-1"}
    assert "order Fifo is not offered, only Any" in out_of_order[1]["waits"]


def test_its_claims_override_the_template_where_it_lets_them(ask: Any) -> None:
    (made,) = ask(world=[TIN_CLASS], claims=[claim(order="Fifo", label="mine")])["scheduled"]
    assert (made["makes"]["fifo"], made["makes"]["label"]) == (True, "mine")


def test_its_connection_has_its_own_keys_and_no_service(ask: Any) -> None:
    bound, resource = claim(status=BOUND), tin_queue(refs=(REF,))
    connected = ask(connect=[bound, resource, {"token": "hush"}])["connected"]
    assert connected["objects"] == ['Secret "orders"', 'ConfigMap "orders"']
    assert connected["public"] == {"type": "queue", "provider": "tin", "queue": "tin-1"}
    assert connected["secret"] == {**connected["public"], "token": "hush"}


def test_a_kind_that_is_there_twice_is_refused() -> None:
    kind = next(iter(BY_GROUP_KIND.values()))
    again = type(kind)(kind.type, kind.role, kind.model, ("other",))
    with pytest.raises(KindsConflict, match=f"{kind.group_kind} is defined twice"):
        registered((kind, again))


def test_a_package_that_adds_what_is_no_kind_is_refused_by_name() -> None:
    entry_point = EntryPoint("broken", "os:sep", "conductor.kinds")
    with pytest.raises(KindsConflict, match="os:sep"):
        list(installed([entry_point]))

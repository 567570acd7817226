"""``make demo``: three claims from manifest to connection, on real parts, told as it happens; then nothing is left.

The story is the design's: a claim that names an administrator's resource binds to it; a second claim finds no free one,
and a class makes it a new one in AWS; a third gets a database on a PostgreSQL server that is there already, and an
application writes to it and reads from it, with nothing but the claim's Secret. Every line
that is printed was read from the API server, or from AWS or that server.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO, TypeVar

import psycopg
from psycopg import sql

from conductor_dev import guest
from conductor_dev.api import CONFIG_MAP, SECRET, SERVICE, Json, objects_in
from conductor_dev.api import NAMESPACE as NAMESPACES
from conductor_dev.aws import Moto
from conductor_dev.checkout import ROOT
from conductor_dev.controlplane import open_named_cluster
from conductor_dev.environment import LOGS, Environment, remove_all_but_logs
from conductor_dev.environment import NAMESPACE as SYSTEM
from conductor_dev.errors import DevError
from conductor_dev.guest import CLASS, NAMESPACE, OFFERED
from conductor_dev.postgres import PostgreSQL
from conductor_dev.progress import Progress
from conductor_dev.teller import Teller
from conductor_dev.waiting import wait_until
from conductor_model.kinds import BY_GROUP_KIND, MYSQL_INSTANCE, POSTGRESQL_INSTANCE, RDS_INSTANCE
from conductor_model.refs import GroupVersionKind, ResourceType

EXAMPLES = ROOT / "examples"
STATIC, DYNAMIC, SHARED = "wordpress-db", "wordpress-sessions", "orders-db"
CLAIMS = ((MYSQL_INSTANCE, STATIC), (MYSQL_INSTANCE, DYNAMIC), (POSTGRESQL_INSTANCE, SHARED))
UID_TAG = "conductor.io/concrete-uid"
MASK = "********"
PATIENCE, PATIENCE_WITH_STAND_IN = 1800.0, 120.0
"""Seconds. AWS itself takes many minutes for an instance; the stand-in takes two seconds."""
TO_CLEAN_UP = 120.0
"""Seconds, after a failure: whoever sees one wants to know it, and not to wait."""

Found = TypeVar("Found")


def main(out: TextIO = sys.stdout, environ: Mapping[str, str] | None = None) -> int:
    """Runs the story in an environment of its own. DevError when it does not come out as told."""
    environ = os.environ if environ is None else environ
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="conductor-demo-"))
    try:
        with _stopping_when_told():
            ending = _run(folder, environ, out)
    except BaseException:
        remove_all_but_logs(folder)
        if (folder / LOGS).exists():
            print(f"The logs of every part are in {folder / LOGS}", file=sys.stderr)
        else:
            folder.rmdir()
        raise
    shutil.rmtree(folder)
    print(f"\nThe demo took {time.monotonic() - began:.0f} s and {ending}", file=out)
    return 0


def _run(folder: Path, environ: Mapping[str, str], out: TextIO) -> str:
    progress = Progress()
    if named := environ.get("KUBECONFIG"):
        guest.refuse_what_exists(open_named_cluster(named, folder).api)
    with Environment.start(folder, environ=environ, progress=progress) as environment:
        with progress.step("starting watcher, scheduler, provisioners and secrets-writer"):
            environment.start_services()
        Story(environment, Teller(out)).tell()
        with progress.step("stopping everything"):
            environment.stop()
        return guest.what_stays(environment)


@contextlib.contextmanager
def _stopping_when_told() -> Iterator[None]:
    """^C, or SIGTERM, is answered at once, because the parts may take seconds to stop."""

    def stop(*_: object) -> None:
        os.write(
            sys.stderr.fileno(), b"\nStopping everything ...\n"
        )  # print is not safe in a signal's handler
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Story:
    def __init__(self, environment: Environment, teller: Teller) -> None:
        self._env = environment
        self._api = environment.api
        self._teller = teller
        self._patience = PATIENCE_WITH_STAND_IN if isinstance(environment.aws, Moto) else PATIENCE

    def tell(self) -> None:
        """Until the end, or until a part ends: PartFailed names it. What outlives us is left as it was found."""
        try:
            self._an_administrator_offers()
            self._a_claim_names_its_resource()
            self._a_claim_is_provisioned_for()
            self._the_cloud_holds_what_it_should((STATIC, DYNAMIC))
            self._a_claim_is_deleted()
            self._a_server_is_shared()
            self._an_application_connects()
        except BaseException:
            self._clean_up_after_failure()
            raise
        if self._env.outlives_us:
            self._teller.chapter("The demo takes away what it made")
            self._clean_up()

    def _clean_up_after_failure(self) -> None:
        if not self._env.outlives_us:
            return
        self._teller.say(
            f"\nRemoving what the demo made, for {TO_CLEAN_UP:.0f} s at most; ^C leaves it there."
        )
        self._patience = TO_CLEAN_UP
        try:
            self._clean_up()
        except DevError as error:
            # What broke the story is the news, and is raised by the caller.
            self._teller.say(f"That was not possible: {error}\n{guest.WHERE_TO_LOOK}")

    def _clean_up(self) -> None:
        guest.remove_what_the_demo_made(self._api, CLAIMS, self._wait)

    def _wait(self, what: str, condition: Callable[[], Found | None]) -> Found:
        """As `wait_until`, but a part that has ended ends it, and a person is told that it lasts."""

        def look() -> Found | None:
            self._env.check_parts()
            self._teller.still_waiting(what)
            return condition()

        return wait_until(what, look, timeout=self._patience)

    def _an_administrator_offers(self) -> None:
        self._teller.chapter("An administrator offers a database that exists, and a class for new ones")
        for file in ("00-namespace.yaml", "rds-instance.yaml", "resource-class-rds-performance.yaml"):
            self._apply(file)
        self._follow(RDS_INSTANCE, SYSTEM, OFFERED, ready)

    def _a_claim_names_its_resource(self) -> None:
        self._teller.chapter("(a) Static: a developer's claim names that database")
        self._apply("mysql-claim-static.yaml")
        claim = self._follow(MYSQL_INSTANCE, NAMESPACE, STATIC, ready)
        self._expect(claim["status"]["boundResource"]["name"] == OFFERED, "it bound to another resource")
        self._show_connection(STATIC)

    def _a_claim_is_provisioned_for(self) -> None:
        self._teller.chapter("(b) Dynamic: a second claim finds no free database, so the class makes one")
        self._apply("mysql-claim-dynamic.yaml")
        claim = self._follow(MYSQL_INSTANCE, NAMESPACE, DYNAMIC, ready, resource=True)
        self._expect(claim["status"].get("resourceClass") == CLASS, "it was not made from the class")
        self._show_connection(DYNAMIC)

    def _the_cloud_holds_what_it_should(self, claims: tuple[str, ...]) -> None:
        self._teller.chapter("AWS itself, asked by boto3: describe_db_instances")
        resources = [self._resource_of(claim) for claim in claims]
        expected = {each["metadata"]["uid"]: each["status"]["externalName"] for each in resources}
        found = self._our_instances()
        for identifier, tags in found.items():
            self._teller.say(f"  {identifier}")
            for key in sorted(tags):
                if key.startswith("conductor.io/"):
                    self._teller.say(f"      {key} = {tags[key]}")
        self._expect(
            {tags[UID_TAG]: identifier for identifier, tags in found.items()} == expected,
            f"AWS holds {sorted(found)}, and {sorted(expected.values())} are expected",
        )
        noun = "instance" if len(expected) == 1 else "instances"
        self._teller.say(
            f"  Exactly the {len(expected)} expected {noun}, each with its resource's uid in its tags."
        )

    def _a_claim_is_deleted(self) -> None:
        self._teller.chapter(f"The developer deletes {DYNAMIC}; its class says rebindPolicy: Delete")
        resource = self._resource_of(DYNAMIC)
        name, identifier = resource["metadata"]["name"], resource["status"]["externalName"]
        self._api.delete(MYSQL_INSTANCE, NAMESPACE, DYNAMIC)

        def gone() -> bool:
            left = self._api.find(RDS_INSTANCE, SYSTEM, name)
            if left is not None:
                self._teller.way(left)
            return left is None

        self._wait(f"RDSInstance {name} is gone", gone)
        self._expect(identifier not in self._our_instances(), f"DB instance {identifier} is still there")
        self._teller.say(f"  RDSInstance {name} is gone, and so is DB instance {identifier}.")
        for kind in (SECRET, CONFIG_MAP, SERVICE):
            self._wait_gone(kind, NAMESPACE, DYNAMIC)
        self._teller.say("  Its Secret, ConfigMap and Service went with it.")
        self._the_cloud_holds_what_it_should((STATIC,))

    def _a_server_is_shared(self) -> None:
        self._teller.chapter(
            "(c) Shared: a PostgreSQL server that is there already gets a database for a third claim"
        )
        self._api.apply(server_administrator(self._env.postgres))
        self._teller.say(
            f"  apply Secret {SYSTEM}/{guest.SERVER_ADMIN}: a user of that server with CREATEDB and CREATEROLE"
        )
        here = {
            "spec": {"server": {"engine": "postgres", "host": "localhost", "port": self._env.postgres.port}}
        }
        self._apply("provider-config-sql.yaml", here)
        self._apply("resource-class-sql-shared.yaml")
        self._apply("postgresql-claim.yaml")
        claim = self._follow(POSTGRESQL_INSTANCE, NAMESPACE, SHARED, ready, resource=True)
        self._expect(
            claim["status"].get("resourceClass") == guest.SHARED_CLASS, "it was made from another class"
        )
        self._show_connection(SHARED)

    def _an_application_connects(self) -> None:
        self._teller.chapter(
            f"An application connects with nothing but Secret {NAMESPACE}/{SHARED}, by psycopg"
        )
        connection = self._values_of(SHARED)
        with psycopg.connect(connection["uri"], connect_timeout=30) as application:
            application.execute("CREATE TABLE orders (id int PRIMARY KEY, item text)")
            application.execute("INSERT INTO orders VALUES (1, 'a database')")
        # Another connection: what the first one wrote is in the database.
        with psycopg.connect(connection["uri"], connect_timeout=30) as application:
            row = application.execute("SELECT id, item, current_database() FROM orders").fetchone()
        self._expect(row == (1, "a database", connection["database"]), f"it read {row}")
        self._teller.say(f"  wrote a row to {connection['database']}, and read it back: 1, a database")

    def _apply(self, file: str, change: Json | None = None) -> None:
        for example in objects_in(EXAMPLES / file):
            manifest = {**example, "spec": {**example["spec"], **change["spec"]}} if change else example
            metadata = manifest["metadata"]
            place = f"{metadata['namespace']}/" if "namespace" in metadata else ""
            self._teller.say(f"  apply examples/{file}: {manifest['kind']} {place}{metadata['name']}")
            self._api.apply(manifest)

    def _follow(
        self,
        kind: ResourceType,
        namespace: str,
        name: str,
        until: Callable[[Json], bool],
        *,
        resource: bool = False,
    ) -> Json:
        """Tell what happens to an object, and with ``resource`` to what it is bound to, until it is as wanted."""

        def look() -> Json | None:
            found = self._api.get(kind, namespace, name)
            self._teller.way(found)
            bound = found.get("status", {}).get("boundResource")
            made = (
                self._api.find(_type_of(bound), bound["namespace"], bound["name"])
                if resource and bound
                else None
            )
            if made is not None:
                self._teller.way(made)
            return found if until(found) else None

        return self._wait(f"{kind.gvk.kind} {namespace}/{name} is Ready", look)

    def _wait_gone(self, kind: ResourceType, namespace: str, name: str) -> None:
        what = f"{kind.gvk.kind} {namespace}/{name} is gone"
        self._wait(what, lambda: self._api.find(kind, namespace, name) is None)

    def _show_connection(self, name: str) -> None:
        secret = self._api.get(SECRET, NAMESPACE, name)
        self._teller.say(f"  Secret {NAMESPACE}/{name}, type {secret['type']}:")
        values = self._values_of(name)
        for key, value in sorted(values.items()):
            shown = MASK if key == "password" else value.replace(values["password"], MASK)
            self._teller.say(f"      {key:<10}{shown}")
        for kind in (CONFIG_MAP, SERVICE):
            found = self._api.get(kind, NAMESPACE, name)
            target = found.get("spec", {}).get("externalName")
            self._teller.say(f"  {kind.gvk.kind} {NAMESPACE}/{name}" + (f" -> {target}" if target else ""))

    def _values_of(self, name: str) -> dict[str, str]:
        data = self._api.get(SECRET, NAMESPACE, name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def _resource_of(self, claim: str) -> Json:
        bound = self._api.get(MYSQL_INSTANCE, NAMESPACE, claim)["status"]["boundResource"]
        return self._api.get(RDS_INSTANCE, bound["namespace"], bound["name"])

    def _our_instances(self) -> dict[str, dict[str, str]]:
        """The DB instances that carry this cluster's tag, with all their tags."""
        cluster = self._api.get(NAMESPACES, None, "kube-system")["metadata"]["uid"]
        found: dict[str, dict[str, str]] = {}
        for page in self._env.aws.rds().get_paginator("describe_db_instances").paginate():
            for each in page["DBInstances"]:
                tags = {tag["Key"]: tag["Value"] for tag in each.get("TagList", [])}
                if tags.get("conductor.io/cluster-id") == cluster:
                    found[each["DBInstanceIdentifier"]] = tags
        return found

    @staticmethod
    def _expect(holds: bool, otherwise: str) -> None:
        if not holds:
            raise DevError(f"the demo did not come out as it should: {otherwise}")


def ready(found: Json) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _type_of(bound: Json) -> ResourceType:
    return BY_GROUP_KIND[GroupVersionKind.parse(bound["apiVersion"], bound["kind"]).group_kind].type


def server_administrator(server: PostgreSQL) -> Json:
    """A user of the server that may make databases and roles, and no more: made there, and put into a Secret."""
    name, password = "conductor_admin", secrets.token_urlsafe(24)
    with server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                sql.Identifier(name), sql.Literal(password)
            )
        )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": guest.SERVER_ADMIN, "namespace": SYSTEM},
        "stringData": {"username": name, "password": password},
    }

"""The methods of ``instances``, ``connect`` and ``operations``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conductor_dev.cloudsql.certificate import server_ca
from conductor_dev.cloudsql.filters import matches
from conductor_dev.cloudsql.project import Instance, Json, Project
from conductor_dev.cloudsql.refusals import (
    Refusal,
    in_progress,
    invalid,
    name_taken,
    no_room,
    not_running,
    protected,
)
from conductor_dev.cloudsql.settings import REGIONS, new_settings, patched_settings, replaced_settings

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
MAX_NAME = 98
"""Of project, colon and instance."""
MAX_PAGE = 1000
DEFAULT_PAGE = 500
DEFAULT_VERSION, DEFAULT_REGION = "MYSQL_8_0", "us-central1"
_ADMINS = {"MYSQL": ("root", "%"), "POSTGRES": ("postgres", "")}


@dataclass(frozen=True)
class Call:
    """One request, its shape checked."""

    project: Project
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Json
    max_instances: int | None = None

    @property
    def instance(self) -> Instance:
        """Raises Refusal."""
        return self.project.instance(self.path["instance"])


def insert(call: Call) -> Json:
    project, body = call.project, call.body
    name = body.get("name", "")
    if not _NAME.fullmatch(name) or len(f"{project.name}:{name}") > MAX_NAME:
        raise invalid(f"instance name ({name}).")
    version, region = body.get("databaseVersion", DEFAULT_VERSION), body.get("region", DEFAULT_REGION)
    if region not in REGIONS:
        raise invalid(f"Region ({region}) is not valid.")
    if version.startswith("SQL_"):
        raise invalid("The database version is not valid.")
    if name in project.instances or project.name_is_retired(name):
        raise name_taken()
    if call.max_instances is not None and len(project.instances) >= call.max_instances:
        raise no_room()
    engine = version.partition("_")[0]
    instance = Instance(
        {
            "kind": "sql#instance",
            "name": name,
            "project": project.name,
            "region": region,
            "databaseVersion": version,
            "backendType": "SECOND_GEN",
            "instanceType": "CLOUD_SQL_INSTANCE",
            "state": "PENDING_CREATE",
            "connectionName": f"{project.name}:{region}:{name}",
            "createTime": project.clock.text(),
            "etag": "1",
            "settings": new_settings(body.get("settings", {}), mysql=engine == "MYSQL"),
        }
    )
    if (admin := _ADMINS.get(engine)) is not None:
        instance.users[admin] = {"kind": "sql#user", "name": admin[0], "host": admin[1]}
        if "rootPassword" in body:
            instance.passwords[admin] = body["rootPassword"]

    def created() -> None:
        instance.resource |= {
            "state": "RUNNABLE",
            "databaseInstalledVersion": _installed(version),
            "serverCaCert": server_ca(name, project.clock.now()),
            "gceZone": f"{region}-b",
        }
        _address(project, instance)

    def failed() -> None:
        instance.resource["state"] = "FAILED"

    operation = project.begin("CREATE", name, created, failed)
    project.instances[name] = instance
    return operation


def get(call: Call) -> Json:
    return call.instance.resource


def list_(call: Call) -> Json:
    found = [
        instance.resource
        for name, instance in sorted(call.project.instances.items())
        if matches(instance.resource, call.query.get("filter", ""))
    ]
    return _page("sql#instancesList", found, call.query)


def patch(call: Call) -> Json:
    return _change(call, patched_settings)


def update(call: Call) -> Json:
    return _change(call, replaced_settings)


def _change(call: Call, settle: Callable[..., Json]) -> Json:
    instance, body = call.instance, call.body
    if instance.resource["state"] in {"PENDING_CREATE", "FAILED"}:
        raise not_running() if call.project.under_way(instance.name) is None else in_progress()
    for fixed in ("name", "region", "project"):
        if body.get(fixed, instance.resource[fixed]) != instance.resource[fixed]:
            raise invalid(f"{fixed} of an instance cannot be changed.")
    version: str = body.get("databaseVersion") or instance.resource["databaseVersion"]
    if version != instance.resource["databaseVersion"] and not _is_upgrade(
        instance.resource["databaseVersion"], version
    ):
        raise invalid(f"{instance.resource['databaseVersion']} cannot be upgraded to {version}.")
    settings = settle(instance.settings, body.get("settings", {}), mysql=instance.is_mysql)

    def changed() -> None:
        instance.resource |= {
            "settings": settings,
            "databaseVersion": version,
            "databaseInstalledVersion": _installed(version),
            "etag": settings["settingsVersion"],
        }
        _address(call.project, instance)

    return call.project.begin("UPDATE", instance.name, changed)


def delete(call: Call) -> Json:
    instance = call.instance
    if instance.settings.get("deletionProtectionEnabled"):
        raise protected()
    return call.project.begin("DELETE", instance.name, lambda: call.project.remove(instance.name))


def restart(call: Call) -> Json:
    instance = call.instance
    if not instance.runs:
        raise not_running()
    return call.project.begin("RESTART", instance.name, lambda: None)


def connect_settings(call: Call) -> Json:
    shown = ("serverCaCert", "ipAddresses", "region", "databaseVersion", "backendType")
    resource = call.instance.resource
    return {"kind": "sql#connectSettings"} | {key: resource[key] for key in shown if key in resource}


def get_operation(call: Call) -> Json:
    operation = call.project.operations.get(call.path["operation"])
    if operation is None:
        raise Refusal(404, "operationDoesNotExist", "The Cloud SQL operation does not exist.")
    return operation.resource


def list_operations(call: Call) -> Json:
    """The latest first; of an instance that is gone, too."""
    wanted = call.query.get("instance")
    found = [
        operation.resource
        for operation in reversed(call.project.operations.values())
        if wanted is None or operation.resource["targetId"] == wanted
    ]
    return _page("sql#operationsList", found, call.query)


def _page(kind: str, items: list[Json], query: Mapping[str, str]) -> Json:
    size = min(int(query.get("maxResults", 0)) or DEFAULT_PAGE, MAX_PAGE)
    token = query.get("pageToken", "0")
    if not token.isdecimal():
        raise invalid("The page token is not valid.")
    start = int(token)
    page: Json = {"kind": kind}
    if shown := items[start : start + size]:
        page["items"] = shown
    if start + size < len(items):
        page["nextPageToken"] = str(start + size)
    return page


def _address(project: Project, instance: Instance) -> None:
    """Addresses as the settings ask for them; one that is there stays."""
    network = instance.settings["ipConfiguration"]
    there: Any = {each["type"]: each for each in instance.resource.get("ipAddresses", [])}
    wanted = []
    if network.get("ipv4Enabled"):
        wanted.append("PRIMARY")
    if network.get("privateNetwork"):
        wanted.append("PRIVATE")
    addresses = []
    for type in wanted:
        if type not in there:
            project.addresses += 1
            low = f"{project.addresses // 250 % 250}.{project.addresses % 250 + 1}"
            there[type] = {"type": type, "ipAddress": f"{'198.18' if type == 'PRIMARY' else '10.20'}.{low}"}
        addresses.append(there[type])
    instance.resource["ipAddresses"] = addresses


def _installed(version: str) -> str:
    """With the minor version that runs."""
    return f"{version}_31" if re.fullmatch(r"MYSQL_8_\d|POSTGRES_9_\d", version) else version


def _is_upgrade(old: str, new: str) -> bool:
    def parts(version: str) -> tuple[str, list[int]]:
        engine, _, numbers = version.partition("_")
        return engine, [int(number) for number in re.findall(r"\d+", numbers)]

    (old_engine, old_numbers), (new_engine, new_numbers) = parts(old), parts(new)
    return old_engine == new_engine and new_numbers > old_numbers

"""What an instance is to be, and what of it is not so: pure functions, without a call.

Promises: the same input gives the same request; a field that the spec leaves open is neither asked for nor changed; what
Google changes by itself, a disk that it grew or a version that it patched, is no drift; what was asked for is no drift
once it is so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from ipaddress import ip_network
from math import ceil
from typing import Any

from conductor_gcp_provisioner.instance import Instance
from conductor_gcp_provisioner.labels import owner_labels
from conductor_model.cloudsql import AvailabilityType, CloudSQLInstanceSpec, DatabaseEngine
from conductor_model.version import EngineVersion
from conductor_provisioner.credentials import DEFAULT_MASTER_USERNAME
from conductor_provisioner.driver import Drift, Owner

Json = dict[str, Any]

MIN_DISK_GB = 10
"""Cloud SQL Admin API, Settings.dataDiskSizeGb."""
MAX_NAME = 98
"""Of project, colon and instance: Cloud SQL documentation, "Instance settings"."""
PORTS: Mapping[DatabaseEngine, int] = {DatabaseEngine.MYSQL: 3306, DatabaseEngine.POSTGRES: 5432}

_GIB = 2**30
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUCCESSOR = re.compile(r"(?P<name>.+)-r(?P<number>[0-9]+)")
_ROOT: Mapping[DatabaseEngine, str] = {DatabaseEngine.MYSQL: "root", DatabaseEngine.POSTGRES: "postgres"}
_SERIES: Mapping[DatabaseEngine, int] = {DatabaseEngine.MYSQL: 2, DatabaseEngine.POSTGRES: 1}
"""How many numbers of a version tell its major version."""
_BINARY_LOG = ("backupConfiguration", "binaryLogEnabled")
_RECOVERY = ("backupConfiguration", "pointInTimeRecoveryEnabled")


def _same(wanted: Any, found: Any) -> bool:
    return bool(wanted == found)


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of the spec and where Google keeps it. ``read`` and ``write`` translate Google's value and ours."""

    name: str
    path: tuple[str, ...]
    default: Any = None
    """What Google means by leaving it out."""
    read: Callable[[Any], Any] = _as_it_is
    write: Callable[[Any], Any] = _as_it_is
    same: Callable[[Any, Any], bool] = _same
    fixed: str = ""
    """Why it cannot be changed in place."""
    always: bool = False
    """Every instance has one: an answer without it says nothing of it."""

    def found(self, settings: Mapping[str, Any]) -> Any:
        value: Any = settings
        for key in self.path:
            value = (value or {}).get(key)
        return self.default if value is None else self.read(value)


def _networks(found: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
    """What each is called, by its addresses."""
    return {_network(each.get("value", "")): each.get("name", "") for each in found}


def _network(text: str) -> str:
    """One way to write it: 192.0.2.1 is 192.0.2.1/32."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return text


def _flags(found: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
    return {each["name"]: each.get("value", "") for each in found}


def _vpc(link: str) -> str:
    """Without the host and version that Google may put before it."""
    return link[link.find("projects/") :]


def _has_labels(wanted: Mapping[str, str], found: Mapping[str, str]) -> bool:
    return wanted.items() <= found.items()


def _same_networks(wanted: Mapping[str, str], found: Mapping[str, str]) -> bool:
    return wanted.keys() == found.keys()


def _same_window(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    return all(found.get(key) == value for key, value in wanted.items())


def _same_network(wanted: str, found: str | None) -> bool:
    return found is not None and _vpc(wanted) == _vpc(found)


_FIELDS: tuple[_Field, ...] = (
    _Field("tier", ("tier",), always=True),
    _Field("edition", ("edition",), "ENTERPRISE"),
    _Field("availabilityType", ("availabilityType",), "ZONAL"),
    _Field(
        "storageType",
        ("dataDiskType",),
        "PD_SSD",
        fixed="Cloud SQL does not change the type of a disk in place",
    ),
    _Field("diskSize", ("dataDiskSizeGb",), read=int, write=str, always=True),
    _Field("diskAutoresize", ("storageAutoResize",), True),
    _Field("diskAutoresizeLimit", ("storageAutoResizeLimit",), 0, read=int, write=str),
    _Field("backup.enabled", ("backupConfiguration", "enabled"), False),
    _Field("backup.startTime", ("backupConfiguration", "startTime")),
    _Field("backup.location", ("backupConfiguration", "location")),
    _Field(
        "backup.retainedBackups", ("backupConfiguration", "backupRetentionSettings", "retainedBackups"), 7
    ),
    _Field("backup.pointInTimeRecovery", _BINARY_LOG, False),
    _Field("backup.pointInTimeRecovery", _RECOVERY, False),
    _Field("backup.transactionLogRetentionDays", ("backupConfiguration", "transactionLogRetentionDays"), 7),
    _Field("ipConfiguration.ipv4Enabled", ("ipConfiguration", "ipv4Enabled"), True),
    _Field("ipConfiguration.privateNetwork", ("ipConfiguration", "privateNetwork"), same=_same_network),
    _Field("ipConfiguration.allocatedIpRange", ("ipConfiguration", "allocatedIpRange")),
    _Field("ipConfiguration.sslMode", ("ipConfiguration", "sslMode"), "ALLOW_UNENCRYPTED_AND_ENCRYPTED"),
    _Field(
        "ipConfiguration.authorizedNetworks",
        ("ipConfiguration", "authorizedNetworks"),
        {},
        read=_networks,
        same=_same_networks,
    ),
    _Field("databaseFlags", ("databaseFlags",), {}, read=_flags),
    _Field("labels", ("userLabels",), {}, same=_has_labels),
    _Field("maintenanceWindow", ("maintenanceWindow",), {}, same=_same_window),
    _Field("deletionProtection", ("deletionProtectionEnabled",), False),
)


def root_username(spec: CloudSQLInstanceSpec) -> str:
    """The user that every instance of the engine has from the start."""
    return _ROOT[spec.engine]


def master_username(spec: CloudSQLInstanceSpec) -> str:
    return spec.master_username or DEFAULT_MASTER_USERNAME


def new_instance(name: str, spec: CloudSQLInstanceSpec, owner: Owner, root_password: str | None) -> Json:
    """The body of instances.insert."""
    body: Json = {
        "name": name,
        "region": spec.region,
        "databaseVersion": spec.database_version,
        "settings": _settings(_wanted(spec, owner), {}),
    }
    return body if root_password is None else {**body, "rootPassword": root_password}


def drift_of(spec: CloudSQLInstanceSpec, owner: Owner, instance: Instance) -> tuple[Drift, ...]:
    """What of the instance is not as the spec asks, in the spec's words."""
    found = [
        Drift(field.name, _shown(wanted), _shown(there), repairable=not why, why=why)
        for field, wanted, there in _differing(spec, owner, instance)
        for why in (_why_fixed(field, wanted, there),)
    ]
    if instance.region and instance.region != spec.region:
        found.append(
            Drift("region", spec.region, instance.region, repairable=False, why="an instance does not move")
        )
    version = _version_drift(spec, instance)
    return (*found, version) if version is not None else tuple(found)


def changes_of(spec: CloudSQLInstanceSpec, owner: Owner, instance: Instance) -> Json:
    """The body of the instances.patch that makes good the drift that can be; empty: there is none.

    A list or an object of the settings is sent whole, so that it means the same whether a patch merges or replaces it.
    """
    differing = [each for each in _differing(spec, owner, instance) if not _why_fixed(*each)]
    body: Json = {}
    if differing:
        wanted = [(field, value) for field, value, _ in differing]
        body["settings"] = _settings(wanted, instance.settings)
        version = instance.settings.get("settingsVersion")
        if version is not None:
            body["settings"]["settingsVersion"] = version
    drift = _version_drift(spec, instance)
    if drift is not None and drift.repairable:
        body["databaseVersion"] = spec.database_version
    return body


def successor_of(name: str) -> str:
    """The name to use when Google will not take this one: always the same, and never one that was used before."""
    match = _SUCCESSOR.fullmatch(name)
    return f"{match['name']}-r{int(match['number']) + 1}" if match else f"{name}-r2"


def unfit_name(project: str, name: str) -> str | None:
    """Why an instance cannot be called so."""
    if not _NAME.fullmatch(name):
        return f"{name!r} has other characters than lower-case letters, digits and single hyphens, a letter first"
    if len(f"{project}:{name}") > MAX_NAME:
        return f"project and name, {project}:{name}, are longer than {MAX_NAME} characters together"
    return None


def _wanted(spec: CloudSQLInstanceSpec, owner: Owner) -> list[tuple[_Field, Any]]:
    values = _values(spec, owner)
    return [(field, values[field.path]) for field in _FIELDS if values.get(field.path) is not None]


def _values(spec: CloudSQLInstanceSpec, owner: Owner) -> Mapping[tuple[str, ...], Any]:
    """What the spec asks for, by where Google keeps it. None: it is left open."""
    network = spec.ip_configuration
    by_name: dict[str, Any] = {
        "tier": spec.tier,
        "edition": spec.edition,
        "availabilityType": spec.availability_type,
        "storageType": spec.storage_type,
        "diskSize": _disk_size(spec),
        "diskAutoresize": spec.disk_autoresize,
        "diskAutoresizeLimit": spec.disk_autoresize_limit,
        "ipConfiguration.ipv4Enabled": network.ipv4_enabled,
        "ipConfiguration.privateNetwork": network.private_network,
        "ipConfiguration.allocatedIpRange": network.allocated_ip_range,
        "ipConfiguration.sslMode": network.ssl_mode,
        "labels": {**spec.labels, **owner_labels(owner)},
        "deletionProtection": spec.deletion_protection,
    }
    if network.authorized_networks is not None:
        by_name["ipConfiguration.authorizedNetworks"] = {
            _network(each.value): each.name or "" for each in network.authorized_networks
        }
    if spec.database_flags is not None:
        by_name["databaseFlags"] = {flag.name: flag.value for flag in spec.database_flags}
    if spec.maintenance_window is not None:
        window = spec.maintenance_window.model_dump(mode="json", by_alias=True, exclude_none=True)
        by_name["maintenanceWindow"] = window
    by_name |= _backup(spec)
    by_path = {field.path: by_name.get(field.name) for field in _FIELDS}
    unused = _RECOVERY if spec.engine is DatabaseEngine.MYSQL else _BINARY_LOG
    return by_path | {unused: None}


def _backup(spec: CloudSQLInstanceSpec) -> Mapping[str, Any]:
    backup = spec.backup
    if backup is None:
        # A standby is made from backups and logs: Google takes no REGIONAL instance without them.
        standby = spec.availability_type is AvailabilityType.REGIONAL
        return {"backup.enabled": True, "backup.pointInTimeRecovery": True} if standby else {}
    return {
        "backup.enabled": backup.enabled,
        "backup.startTime": backup.start_time,
        "backup.location": backup.location,
        "backup.retainedBackups": backup.retained_backups,
        "backup.pointInTimeRecovery": backup.point_in_time_recovery,
        "backup.transactionLogRetentionDays": backup.transaction_log_retention_days,
    }


def _disk_size(spec: CloudSQLInstanceSpec) -> int | None:
    """In GB, which Google counts by 2**30 bytes."""
    if spec.disk_size is not None:
        return spec.disk_size
    capacity = spec.capabilities.capacity.get("storage")
    return max(MIN_DISK_GB, ceil(capacity.value / _GIB)) if capacity is not None else None


def _differing(
    spec: CloudSQLInstanceSpec, owner: Owner, instance: Instance
) -> Iterator[tuple[_Field, Any, Any]]:
    """Fields whose wanted value is not the one that is there."""
    for field, wanted in _wanted(spec, owner):
        there = field.found(instance.settings)
        grown = field.name == "diskSize" and spec.disk_autoresize and there is not None and there > wanted
        untold = field.always and there is None
        if not grown and not untold and not field.same(wanted, there):
            yield field, wanted, there


def _why_fixed(field: _Field, wanted: Any, there: Any) -> str:
    if field.name == "diskSize" and there is not None and there > wanted:
        return "Cloud SQL only grows a disk"
    if field.name == "ipConfiguration.privateNetwork" and there is not None:
        return "an instance does not move from one network to another"
    return field.fixed


def _version_drift(spec: CloudSQLInstanceSpec, instance: Instance) -> Drift | None:
    """None where what runs is what the spec asks for or newer: Google patches minor versions by itself."""
    wanted = spec.database_version
    try:
        asked = EngineVersion.parse(wanted).release
        runs = EngineVersion.parse(instance.installed_version).release
    except ValueError:
        return None
    if instance.database_version.partition("_")[0] != spec.engine:
        return _fixed_version(wanted, instance, "it is another engine")
    if runs[: len(asked)] >= asked:
        series = _SERIES[spec.engine]
        if runs[:series] > asked[:series]:
            return _fixed_version(wanted, instance, "Cloud SQL does not go back to an older version")
        return None
    return Drift("databaseVersion", wanted, instance.installed_version)


def _fixed_version(wanted: str, instance: Instance, why: str) -> Drift:
    return Drift("databaseVersion", wanted, instance.installed_version, repairable=False, why=why)


def _settings(wanted: Iterable[tuple[_Field, Any]], there: Mapping[str, Any]) -> Json:
    """The wanted values as Google's settings, with what is there beside them in the same lists and objects."""
    settings: Json = {}
    for field, value in wanted:
        place, known = settings, there
        for depth, key in enumerate(field.path[:-1]):
            known = known.get(key) or {}
            writable = _WRITABLE.get(field.path[: depth + 1])
            # A copy: what was observed stays as it was observed.
            kept = {
                name: deepcopy(item) for name, item in known.items() if writable is None or name in writable
            }
            place = place.setdefault(key, kept)
        place[field.path[-1]] = _written(field, value, there)
    if "sslMode" in (network := settings.get("ipConfiguration", {})):
        network.pop("requireSsl", None)  # its predecessor: the two must not contradict each other
    return settings


_WRITABLE: Mapping[tuple[str, ...], frozenset[str]] = {
    ("backupConfiguration",): frozenset(
        {
            "enabled",
            "startTime",
            "location",
            "backupRetentionSettings",
            "binaryLogEnabled",
            "pointInTimeRecoveryEnabled",
            "transactionLogRetentionDays",
        }
    ),
}
"""Of an object that also holds what only Google says."""


def _written(field: _Field, value: Any, there: Mapping[str, Any]) -> Any:
    match field.name:
        case "ipConfiguration.authorizedNetworks":
            return [
                {"value": network, **({"name": value[network]} if value[network] else {})}
                for network in sorted(value)
            ]
        case "databaseFlags":
            return [{"name": name, "value": value[name]} for name in sorted(value)]
        case "labels":
            return {**(there.get("userLabels") or {}), **value}
        case _:
            return field.write(value)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case Mapping():
            return ", ".join(f"{key}={value[key]}" if value[key] else key for key in sorted(value)) or "none"
        case _:
            return str(value)

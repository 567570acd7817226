"""What Google makes of an instance's settings: defaults, the merging of a patch, and what it refuses."""

from __future__ import annotations

import copy
import re
from typing import Any

from conductor_dev.cloudsql.refusals import invalid, stale

Json = dict[str, Any]

TIERS = (
    *("db-f1-micro", "db-g1-small"),
    *(f"db-n1-standard-{cpus}" for cpus in (1, 2, 4, 8, 16, 32, 64, 96)),
    *(f"db-n1-highmem-{cpus}" for cpus in (2, 4, 8, 16, 32, 64, 96)),
    *(f"db-perf-optimized-N-{cpus}" for cpus in (2, 4, 8, 16, 32, 48, 64, 80, 96, 128)),
)
REGIONS = (
    *("asia-east1", "asia-northeast1", "asia-south1", "asia-southeast1", "australia-southeast1"),
    *("europe-north1", "europe-west1", "europe-west2", "europe-west3", "europe-west4", "europe-west6"),
    *("northamerica-northeast1", "southamerica-east1", "us-central1", "us-east1", "us-east4"),
    *("us-west1", "us-west2", "us-west3", "us-west4"),
)
_CUSTOM_TIER = re.compile(r"db-custom-[0-9]{1,2}-[0-9]{4,6}")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
MAX_LABELS = 64
MIN_DISK_GB = 10

_DEFAULTS: Json = {
    "kind": "sql#settings",
    "activationPolicy": "ALWAYS",
    "availabilityType": "ZONAL",
    "pricingPlan": "PER_USE",
    "edition": "ENTERPRISE",
    "dataDiskType": "PD_SSD",
    "dataDiskSizeGb": "10",
    "storageAutoResize": True,
    "storageAutoResizeLimit": "0",
    "deletionProtectionEnabled": False,
    "backupConfiguration": {
        "kind": "sql#backupConfiguration",
        "enabled": False,
        "startTime": "04:00",
        "transactionLogRetentionDays": 7,
        "backupRetentionSettings": {"retainedBackups": 7, "retentionUnit": "COUNT"},
    },
    "ipConfiguration": {
        "ipv4Enabled": True,
        "requireSsl": False,
        "sslMode": "ALLOW_UNENCRYPTED_AND_ENCRYPTED",
        "serverCaMode": "GOOGLE_MANAGED_INTERNAL_CA",
    },
}
_NUMBERS_AS_TEXT = ("dataDiskSizeGb", "storageAutoResizeLimit")


def merged(old: object, new: object) -> Any:
    """A patch applied: objects are merged, null removes, everything else replaces."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    result = {key: value for key, value in old.items() if not (key in new and new[key] is None)}
    return result | {key: merged(old.get(key), value) for key, value in new.items() if value is not None}


def new_settings(asked: Json, *, mysql: bool) -> Json:
    """Of a new instance. Raises Refusal."""
    return _checked({**merged(_DEFAULTS, asked), "settingsVersion": "1"}, mysql=mysql)


def patched_settings(current: Json, asked: Json, *, mysql: bool) -> Json:
    """Raises Refusal. A version of the settings, where one is given, must be the current one."""
    return _successor(current, merged(current, asked), asked, mysql=mysql)


def replaced_settings(current: Json, asked: Json, *, mysql: bool) -> Json:
    """The same for an update, which replaces all settings and needs their version."""
    if "settingsVersion" not in asked:
        raise invalid("settings.settingsVersion is required.")
    return _successor(current, merged(_DEFAULTS, asked), asked, mysql=mysql)


def _successor(current: Json, after: Json, asked: Json, *, mysql: bool) -> Json:
    if "settingsVersion" in asked and str(asked["settingsVersion"]) != current["settingsVersion"]:
        raise stale()
    after = _checked(after, mysql=mysql)
    if int(after["dataDiskSizeGb"]) < int(current["dataDiskSizeGb"]):
        raise invalid("Disk size cannot be decreased.")
    if after["dataDiskType"] != current["dataDiskType"]:
        raise invalid("The data disk type of an instance cannot be changed.")
    network = current["ipConfiguration"].get("privateNetwork")
    if network is not None and after["ipConfiguration"].get("privateNetwork") != network:
        raise invalid("The private network of an instance cannot be changed.")
    return {**after, "settingsVersion": str(int(current["settingsVersion"]) + 1)}


def _checked(settings: Json, *, mysql: bool) -> Json:
    tier = settings.get("tier", "")
    if tier not in TIERS and not _CUSTOM_TIER.fullmatch(tier):
        raise invalid(f"Tier ({tier}) is not valid.")
    for name in _NUMBERS_AS_TEXT:
        settings[name] = str(settings[name])
    if int(settings["dataDiskSizeGb"]) < MIN_DISK_GB:
        raise invalid(f"The disk size must be at least {MIN_DISK_GB} GB.")
    _check_labels(settings.get("userLabels", {}))
    _check_backups(settings, mysql=mysql)
    network = settings["ipConfiguration"]
    if not network.get("ipv4Enabled") and "privateNetwork" not in network:
        raise invalid("At least one of Public IP, Private IP or PSC connectivity must be enabled.")
    window = settings.get("maintenanceWindow")
    if window is not None and not (0 <= window.get("hour", 0) <= 23 and 0 <= window.get("day", 0) <= 7):
        raise invalid("The maintenance window is not valid.")
    flags = [flag.get("name") for flag in settings.get("databaseFlags", [])]
    if None in flags or len(flags) != len(set(flags)):
        raise invalid("Each database flag needs a name, and can be given once.")
    return settings


def _check_labels(labels: Json) -> None:
    if len(labels) > MAX_LABELS:
        raise invalid(f"A resource has at most {MAX_LABELS} user labels.")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise invalid(f"User label ({key}: {value}) is not valid.")


def _check_backups(settings: Json, *, mysql: bool) -> None:
    backups = settings["backupConfiguration"]
    enabled, binary_log = backups.get("enabled", False), backups.get("binaryLogEnabled", False)
    recovery = backups.get("pointInTimeRecoveryEnabled", False)
    if binary_log and not mysql:
        raise invalid("Binary log can only be enabled for MySQL instances.")
    if recovery and mysql:
        raise invalid("Point in time recovery of MySQL instances is enabled by binaryLogEnabled.")
    if (binary_log or recovery) and not enabled:
        raise invalid("Backups must be enabled for binary log or point in time recovery.")
    if settings["availabilityType"] == "REGIONAL" and not (enabled and (binary_log or recovery)):
        raise invalid("Regional availability needs backups, and the binary log or point in time recovery.")

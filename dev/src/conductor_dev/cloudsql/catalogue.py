"""What can be chosen from: tiers and flags."""

from __future__ import annotations

from typing import Any

from conductor_dev.cloudsql.settings import REGIONS, TIERS

_FLAGS = (
    ("max_connections", "INTEGER", ("MYSQL_5_7", "MYSQL_8_0", "MYSQL_8_4", "POSTGRES_15", "POSTGRES_16")),
    ("slow_query_log", "BOOLEAN", ("MYSQL_5_7", "MYSQL_8_0", "MYSQL_8_4")),
    ("log_min_duration_statement", "INTEGER", ("POSTGRES_15", "POSTGRES_16")),
    ("cloudsql.iam_authentication", "BOOLEAN", ("POSTGRES_15", "POSTGRES_16")),
)


def tiers() -> dict[str, Any]:
    return {
        "kind": "sql#tiersList",
        "items": [{"kind": "sql#tier", "tier": tier, "region": list(REGIONS)} for tier in TIERS],
    }


def flags() -> dict[str, Any]:
    return {
        "kind": "sql#flagsList",
        "items": [
            {"kind": "sql#flag", "name": name, "type": type, "appliesTo": list(versions)}
            for name, type, versions in _FLAGS
        ],
    }

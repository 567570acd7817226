"""What to fear from those who write manifests: values of every type, drawn from a seeded generator. Pure."""

from __future__ import annotations

import random
import re
from typing import Any

from conductor_dev.api import Json

TEXTS = (
    *(
        "",
        " ",
        "-",
        ".",
        "/",
        "..",
        "../../etc/passwd",
        "*",
        "0",
        "-1",
        "1e999",
        "NaN",
        "Infinity",
        "null",
        "true",
    ),
    *(
        "\x00",
        "\t",
        "a\nb",
        "a\r\nX-Evil: yes",
        "\x1b[2J",
        "\x7f",
        "ü" * 63,
        "日本語",
        "\u202e\u2066evil",
        "\ufeff",
    ),
    *("\U0001f4a5", "a\u0301" * 50, "١٢٣", "５Gi", "²", "x" * 63, "x" * 64, "x" * 253, "x" * 254, "x" * 5000),
    *(
        "a." * 126 + "a",
        "a-" * 31 + "a",
        "-a",
        "A",
        "$(reboot)",
        "`id`",
        "{{ .Values }}",
        "%s%n%d",
        "{0}",
        "${HOME}",
    ),
    *(
        "'; DROP TABLE users; --",
        '"',
        "\\",
        "\\x00",
        "<script>",
        "https://user:pw@host/",
        "__proto__",
        "__class__",
    ),
    *("(a+)+$", "[", "(?P<x", "a" * 2000 + "!", "password=hunter2", "token: abc", "secrets-writer"),
)
VERSIONS = (
    *(
        ">= 5.6",
        "5.7",
        "8",
        "8.0",
        "14",
        "18",
        ">= 5.6, < 8",
        "!= 8.*",
        "~= 5.7",
        "== 5.7.*",
        "< 1, > 2",
        "=== 8.0",
    ),
    *(
        "999999999999999999999.0",
        "1" * 40,
        "1!8.0",
        "8" + ".0" * 30,
        ">= 5.6," * 8,
        "8.0+local",
        "v8",
        "8.0rc1",
        "8.x",
    ),
    *(">= banana", ">=", ",", "==*", "1.*.2", "٨.٠", "8.0 ", " 8.0", "8,0", ">8.0<9"),
)
QUANTITIES = (
    *(
        "1Gi",
        "5Gi",
        "20Gi",
        "25Gi",
        "50Gi",
        "64Ti",
        "0",
        "1",
        "1n",
        "0.1Gi",
        "1e3",
        "100M",
        "7Ei",
        "9999999Ei",
        "1e99",
    ),
    *(
        "-5Gi",
        "1e-99",
        "1E",
        "Gi",
        "1 Gi",
        "1gi",
        "1Gib",
        "+5Gi",
        ".5Gi",
        "5.Gi",
        "0x10",
        "1_000",
        "9" * 47,
        "1e+5",
    ),
    *(0, 1, 20, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 1.5, 1e308),
)
NUMBERS = (
    *(
        0,
        1,
        2,
        3,
        10,
        100,
        1000,
        3306,
        65535,
        65536,
        -1,
        -(2**31),
        2**31 - 1,
        2**31,
        2**53 + 1,
        2**63 - 1,
        -(2**63),
    ),
    *(2**63, 2**64, 10**30, 0.5, -0.0, 1e308, 1e-308),
)
TIMES = (
    *("2020-01-01T00:00:00Z", "2999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
    *(
        "9999-12-31T23:59:59.999999999Z",
        "2020-01-01T00:00:00+14:00",
        "2020-02-30T00:00:00Z",
        "2020-01-01T24:00:00Z",
    ),
    *(
        "2016-12-31T23:59:60Z",
        "2020-01-01",
        "yesterday",
        "1",
        "0001-01-01T00:00:00+23:59",
        "2020-01-01T00:00:00.1Z",
    ),
)
REGIONS = (
    "north-america",
    "europe",
    "us-east-1",
    "us-west-2",
    "us-west2",
    "eu-central-1",
    "on-premises",
    "moon",
)
TIERS = ("free-tier", "low", "standard", "high", "premium", "0", "1.5", "-1", "1e400", "nan", "inf", "1_0")
ENGINES = (
    "mysql",
    "postgres",
    "mariadb",
    "aurora-mysql",
    "oracle-ee",
    "cobol",
    "MYSQL_8_0",
    "POSTGRES_17",
    "SQLSERVER",
)
ARNS = (
    "arn:aws:iam::123456789012:role/x",
    "arn:aws:kms:us-east-1:1:key/x",
    "arn:",
    "arn:aws:iam::0:user/" + "x" * 900,
)
WORDS = (
    *(
        "db.t3.micro",
        "db-n1-standard-1",
        "gp3",
        "io1",
        "PD_SSD",
        "admin",
        "root",
        "postgres",
        "rdsadmin",
        "orders",
    ),
    *(
        "vpc-1",
        "sg-1",
        "default",
        "Mon:00:00-Mon:01:00",
        "00:00-01:00",
        "logs/",
        "STANDARD_IA",
        "utf8",
        "de_DE.UTF-8",
    ),
    *(
        "123456789012",
        "my-project-123",
        "http://127.0.0.1:1",
        "https://example.invalid/x?y=z",
        "127.0.0.1",
        "::1",
    ),
    *(
        "localhost",
        "10.0.0.1",
        "example.invalid",
        "v1",
        "storage.conductor.io/v1alpha1",
        "MySQLInstance",
        "RDSInstance",
    ),
    *(
        "database.aws.conductor.io/v1alpha1",
        "core.conductor.io/v1alpha1",
        "ResourceClass",
        "Namespace",
        "Secret",
    ),
    *(
        "MySqlInstance.v1alpha1.storage.conductor.io",
        "Bucket.storage.conductor.io",
        "environment",
        "*",
        "Observe",
    ),
)
POOL: tuple[Any, ...] = (*TEXTS, *VERSIONS, *REGIONS, *TIERS, *ENGINES, *ARNS, *WORDS, *TIMES)
KEYS = (
    *(
        "storage",
        "iops",
        "memory",
        "team",
        "environment",
        "conductor.io/x",
        "example.org/" + "k" * 63,
        "K",
        "a.b",
    ),
    *("", " ", "x" * 63, "x" * 300, "ü", "a\nb", "-", "$ref", "__proto__", "1", "a/b/c"),
)
DEPTHS = (20, 60, 150, 300)
"""Up to beyond what pydantic reads."""
_FIELD_POOLS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("version", VERSIONS),
    ("region", REGIONS),
    ("cost", TIERS),
    ("performance", TIERS),
    ("engine", ENGINES),
    ("role", ARNS),
    ("kms", ARNS),
    ("time", TIMES),
    ("at", TIMES),
)


def anything(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = rng.randrange(10 if depth < 4 else 7)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind in (2, 3):
        return rng.choice(NUMBERS)
    if kind in (4, 5, 6):
        return rng.choice(POOL)
    if kind == 7:
        return [anything(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 5)))]
    if kind == 8:
        return {rng.choice(KEYS): anything(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 5)))}
    return rng.choice((_nested, _many_items, _many_keys, _long_text))(rng)


def _nested(rng: random.Random) -> Any:
    value: Any = rng.choice(POOL)
    for _ in range(rng.choice(DEPTHS)):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def _many_items(rng: random.Random) -> Any:
    return [rng.choice(POOL)] * rng.choice((33, 201, 2000))


def _many_keys(rng: random.Random) -> Any:
    value = rng.choice(POOL)
    return {f"k{number}": value for number in range(rng.choice((17, 65, 2000)))}


def _long_text(rng: random.Random) -> Any:
    return rng.choice(("x", "é", "a.", "secret", "{", '"')) * rng.choice((1025, 10_000, 100_000))


class Generator:
    """Values for a structural schema, most of them valid, some deliberately not."""

    def __init__(self, rng: random.Random, names: tuple[str, ...], *, malice: float) -> None:
        self._rng = rng
        self._names = names
        self._malice = malice

    def value(self, schema: Json, field: str = "") -> Any:
        """A value for a node of the schema."""
        rng = self._rng
        if rng.random() < self._malice:
            return anything(rng)
        if schema.get("x-kubernetes-int-or-string"):
            return rng.choice(VERSIONS if "ersion" in field else QUANTITIES)
        if "enum" in schema:
            return rng.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                return self._object(schema)
            case "array":
                return self._array(schema, field)
            case "boolean":
                return rng.random() < 0.5
            case "integer" | "number":
                return self._number(schema)
            case "string":
                return self._text(schema, field)
        return anything(rng)

    def _object(self, schema: Json) -> Json:
        rng = self._rng
        required = schema.get("required", ())
        made: Json = {}
        for name, node in schema.get("properties", {}).items():
            if rng.random() < (0.98 if name in required else 0.3):
                made[name] = self.value(node, name)
        more = schema.get("additionalProperties")
        if isinstance(more, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
            for _ in range(rng.choice((0, 1, 1, 2))):
                key = rng.choice(("storage", "environment", "team", rng.choice(KEYS)))
                made[key] = self.value(more, key) if isinstance(more, dict) else anything(rng)
        return made

    def _array(self, schema: Json, field: str) -> list[Any]:
        sizes = (0, 1, 1, 2, min(3, schema.get("maxItems", 3)))
        return [self.value(schema.get("items", {}), field) for _ in range(self._rng.choice(sizes))]

    def _number(self, schema: Json) -> Any:
        rng = self._rng
        least, most = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
        if rng.random() < 0.7:
            return rng.choice((least, most, rng.randint(int(least), int(most))))
        return rng.choice(NUMBERS)

    def _text(self, schema: Json, field: str) -> str:
        rng = self._rng
        if schema.get("format") == "date-time":
            return str(rng.choice(TIMES))
        pools = [pool for name, pool in _FIELD_POOLS if name in field.lower()]
        pool: tuple[Any, ...] = (*self._names, *(rng.choice(pools) if pools else ()), *POOL)
        chosen = rng.choice(pool)
        if rng.random() < 0.9:
            allowed = [each for each in (rng.choice(pool) for _ in range(40)) if _allowed(str(each), schema)]
            chosen = rng.choice(allowed) if allowed else chosen
        return str(chosen)


def _allowed(text: str, schema: Json) -> bool:
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 10**6):
        return False
    # Go's patterns and Python's differ in what nobody uses here.
    return "pattern" not in schema or re.search(schema["pattern"], text) is not None

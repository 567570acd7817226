"""What is there before the first case: classes that are in order, and Secrets and ProviderConfigs that are not."""

from __future__ import annotations

import base64
import json
import secrets

from cases import SYSTEM, TEAMS
from psycopg import sql

from conductor_dev.api import NAMESPACE, SECRET, Json
from conductor_dev.environment import Environment
from conductor_model.kinds import (
    CLOUDSQL_INSTANCE,
    PROVIDER_CONFIG,
    RDS_INSTANCE,
    RESOURCE_CLASS,
    S3_BUCKET,
    SQL_DATABASE,
)
from conductor_model.refs import ResourceType

CANARIES = "canaries"
"""The namespace of claims that must not notice anything."""
_RDS = {"engine": "mysql", "version": "8.0", "instance-type": "db.t3.micro", "skipFinalSnapshot": True}
_CLOUDSQL = {"databaseVersion": "MYSQL_8_0", "tier": "db-n1-standard-1", "region": "us-west2"}
_TEMPLATES = {
    "good-rds": (RDS_INSTANCE, _RDS),
    "good-sql": (SQL_DATABASE, {"engine": "postgres", "providerConfigRef": {"name": "good-sql"}}),
    "good-s3": (S3_BUCKET, {"region": "us-east-1"}),
    "good-cloudsql": (CLOUDSQL_INSTANCE, _CLOUDSQL),
}
_CONFIGS = {"good-sql": "good-sql", "bad-secret": "secret-words", "no-secret": "nobody-made"}
"""ProviderConfig -> the Secret that it names."""
_KEYS = ("username", "password", "accessKeyId", "secretAccessKey", "sessionToken", "key.json")
_WORDS = {
    "username": "'; DROP--\n\"",
    "password": "\\\n\x01'\"",
    "accessKeyId": "a b\r\n",
    "secretAccessKey": "ü\n",
}
_NO_KEY = {
    "type": "service_account",
    "client_email": 5,
    "private_key": "-----BEGIN",
    "token_uri": [],
    "x": {},
}


def furnish(env: Environment) -> None:
    """Makes it all."""
    for namespace in (*TEAMS, CANARIES):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        env.api.create(NAMESPACE, None, body)
    contents: dict[str, dict[str, str]] = {
        "good-sql": _administrator(env),
        "secret-empty": {},
        "secret-words": _WORDS,
        "secret-key-json": {"key.json": json.dumps(_NO_KEY), "username": "", "password": "p"},
        "secret-huge": dict.fromkeys(("username", "password", "key.json", "accessKeyId"), "x" * 200_000),
    }
    for name, data in contents.items():
        env.api.create(SECRET, SYSTEM, {**_object(SECRET, name), "stringData": data})
    binary = dict.fromkeys(_KEYS, base64.b64encode(bytes(range(256))).decode())
    env.api.create(SECRET, SYSTEM, {**_object(SECRET, "secret-binary"), "data": binary})
    server = {"engine": "postgres", "host": "localhost", "port": env.postgres.port}
    for name, secret in _CONFIGS.items():
        auth = {"source": "Secret", "secretRef": {"name": secret}}
        spec = {"provider": "sql", "auth": auth, "server": server}
        env.api.create(PROVIDER_CONFIG, SYSTEM, {**_object(PROVIDER_CONFIG, name), "spec": spec})
    for name, (kind, spec) in _TEMPLATES.items():
        template = {"apiVersion": kind.gvk.api_version, "kind": kind.gvk.kind, "spec": spec}
        offered = {"capacity": {"storage": "50Gi"}, "region": "north-america"}
        body = {**_object(RESOURCE_CLASS, name), "capabilities": offered, "template": template}
        env.api.create(RESOURCE_CLASS, SYSTEM, body)


def _administrator(env: Environment) -> dict[str, str]:
    """Of the PostgreSQL server."""
    user, password = "fuzz_admin", secrets.token_urlsafe(16)
    with env.postgres.connect() as connection:
        statement = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(user), sql.Literal(password)))
    return {"username": user, "password": password}


def _object(kind: ResourceType, name: str) -> Json:
    metadata = {"name": name, "namespace": SYSTEM}
    return {"apiVersion": kind.gvk.api_version, "kind": kind.gvk.kind, "metadata": metadata}

"""ProviderConfig: an account, project or server in which external resources are made, and how to get in.

Credentials are never in it: it names a Secret beside it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from conductor_model.admission import Rule, Text, Uid, Word, immutable, immutable_once_set
from conductor_model.concrete import SecretReference
from conductor_model.conditions import Conditions
from conductor_model.kind import AGE, Column, Kind, Role, v1alpha1
from conductor_model.meta import KubeObject, Model

HostName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_.:-]+$")]
Url = Annotated[str, StringConstraints(max_length=1024, pattern=r"^https?://[^\s]+$")]
SettingText = Annotated[str, StringConstraints(max_length=1024)]


class AuthSource(StrEnum):
    """Who we are to the account."""

    AMBIENT = "Ambient"
    WORKLOAD_IDENTITY = "WorkloadIdentity"
    SECRET = "Secret"  # noqa: S105 - a word, not one of them


class Auth(Model):
    """How to get in."""

    admission_rules = (
        Rule(
            "(has(self.source) && self.source == 'Secret') == has(self.secretRef)",
            "secretRef and source: Secret need each other",
        ),
    )

    source: AuthSource = Field(
        AuthSource.AMBIENT,
        description="Ambient: as the provisioner itself does. WorkloadIdentity: by the identity of the provisioner's "
        "service account. Secret: by the credentials in secretRef.",
    )
    secret_ref: SecretReference | None = Field(
        None,
        description="A Secret in this namespace. AWS: accessKeyId, secretAccessKey and, if temporary, sessionToken. "
        "Google: key.json, a service account key. SQL servers: username and password.",
    )
    role: Text | None = Field(
        None, description="Whom to become then: the ARN of an AWS role, or a Google service account's e-mail."
    )


class ServerEngine(StrEnum):
    """Kinds of database servers; MariaDB is a mysql."""

    POSTGRES = "postgres"
    MYSQL = "mysql"


class TlsMode(StrEnum):
    """How a connection to a server is protected."""

    DISABLE = "Disable"
    REQUIRE = "Require"
    VERIFY_CA = "VerifyCA"
    VERIFY_FULL = "VerifyFull"


class ServerTls(Model):
    """Protection of connections to a server."""

    admission_rules = (
        Rule(
            "!(self.mode in ['VerifyCA', 'VerifyFull']) || has(self.caSecretRef)",
            "mode VerifyCA and VerifyFull need caSecretRef",
        ),
    )

    mode: TlsMode = Field(
        description="Disable: none. Require: encrypted. VerifyCA, VerifyFull: the server's certificate is checked "
        "against the CA, VerifyFull also its host name."
    )
    ca_secret_ref: SecretReference | None = Field(
        None, description="A Secret in this namespace with the server's CA under ca.crt."
    )


class Server(Model):
    """A database server that exists."""

    admission_rules = (
        immutable("engine"),
        # On another server nothing would be found of what was made, and deletions would leave it behind.
        Rule(
            "self.host == oldSelf.host && has(self.port) == has(oldSelf.port)"
            " && (!has(self.port) || self.port == oldSelf.port)"
            " || has(self.formerHosts) && oldSelf.host in self.formerHosts",
            "host and port cannot be changed, for another server has other databases: if these have moved, add the former "
            "host to formerHosts",
        ),
    )

    engine: ServerEngine
    host: HostName
    port: int | None = Field(None, ge=1, le=65535, description="Absent: the engine's usual one.")
    former_hosts: tuple[HostName, ...] = Field(
        (),
        max_length=16,
        description="Where the same databases were before: allows host and port to be changed.",
    )
    tls: ServerTls | None = Field(
        None, description="Absent: encrypted where the server can, and not checked."
    )


class ProviderConfigSpec(Model):
    """The account."""

    admission_rules = (
        immutable("provider"),
        immutable_once_set("account"),
        immutable_once_set("region"),
        Rule("!has(oldSelf.server) || has(self.server)", "server cannot be removed"),
    )

    provider: Word = Field(description="Whose provisioner works there: aws, gcp, sql.")
    default: bool = Field(
        False,
        description="Whether it stands for resources of this namespace and provider that name no ProviderConfig.",
    )
    account: Text | None = Field(
        None,
        description="The account or project that is expected there. Found to be another, nothing is done.",
    )
    region: Word | None = Field(None, description="Where the account's resources are made.")
    endpoint: Url | None = Field(None, description="The URL of the provider's API, where it is not its own.")
    auth: Auth = Field(default_factory=Auth, description="How to get in.")
    server: Server | None = Field(None, description="The database server, of the provider sql.")
    settings: dict[str, SettingText] = Field(
        default_factory=dict, max_length=32, description="What else the provider's driver understands."
    )


class Orphan(Model):
    """An external resource with our cluster's tag that no object stands for."""

    kind: Word = Field(description="The kind of object that it was made for.")
    external_name: Text
    uid: Uid = Field(description="The uid of the object that it was made for.")
    description: Text = ""


class ProviderConfigCondition(StrEnum):
    """``InUse``: it is being deleted and stays, for objects name it. ``OrphansFound``: see ``status.orphans``."""

    IN_USE = "InUse"
    ORPHANS_FOUND = "OrphansFound"


class ProviderConfigStatus(Model):
    """What its provisioner found."""

    conditions: Conditions = ()
    orphans: tuple[Orphan, ...] = Field(
        (), max_length=50, description="The first of them. Nobody deletes them but you."
    )


class ProviderConfig(KubeObject):
    """An account in which external resources are made, and how to get in."""

    admission_rules = (
        Rule("self.metadata.name != 'ambient'", "ambient stands for the provisioner's own environment"),
    )

    spec: ProviderConfigSpec
    status: ProviderConfigStatus = Field(default_factory=ProviderConfigStatus)


PROVIDER_CONFIG = v1alpha1("core.conductor.io", "ProviderConfig", "providerconfigs")

KIND = Kind(
    PROVIDER_CONFIG,
    Role.PROVIDER_CONFIG,
    ProviderConfig,
    ("pconfig",),
    ("conductor",),
    (
        Column("Provider", ".spec.provider"),
        Column("Account", ".spec.account"),
        Column("Region", ".spec.region"),
        Column("Server", ".spec.server.host"),
        Column("Default", ".spec.default", "boolean"),
        Column("In-Use", '.status.conditions[?(@.type=="InUse")].status', priority=1),
        Column("Orphans", '.status.conditions[?(@.type=="OrphansFound")].status', priority=1),
        AGE,
    ),
)

"""How to get into an AWS account: boto3 clients of what a ProviderConfig says.

| ``auth.source`` | who we are |
|---|---|
| ``Ambient``, ``WorkloadIdentity`` | boto3's default chain: environment, IRSA or Pod Identity, profile, instance |
| ``Secret`` | its entries ``accessKeyId``, ``secretAccessKey`` and, if there, ``sessionToken`` |

``auth.role`` is then assumed, and the session renewed before it expires. Region and endpoint that a ProviderConfig leaves
out are those of the environment.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from conductor_aws_provisioner.errors import Answer, sort
from conductor_provisioner import Account, ProviderError, Refused, Transient

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 30
MAX_CONNECTIONS = 32
"""As many as there are threads to use them."""


class AwsSession:
    """One account and region."""

    def __init__(self, account: Account) -> None:
        """Raises Refused for credentials or a region that are not there. Makes no call."""
        _keep_request_bodies_out_of_logs()
        self._endpoint = account.endpoint
        self._name = account.name
        region = account.region or os.environ.get("AWS_REGION") or None
        self._session = self._as_user(account, region)
        auth = account.settings.get("auth")
        if auth is not None and auth.role is not None:
            self._session = self._assumed(auth.role, region)

    def client(self, service: str, *, region: str | None = None) -> Any:
        """Of a boto3 service, in the account's region or another.

        Retries belong to the reconciler, which survives a crash, and not to botocore.
        """
        session: Any = self._session
        try:
            return session.client(
                service, endpoint_url=self._endpoint, region_name=region, config=self._config
            )
        except NoRegionError as error:
            hint = "set the ProviderConfig's region, AWS_REGION, or a region in the AWS configuration file"
            raise Refused("open", f"Amazon {service}", "NoRegion", f"{error} {hint}") from error

    @property
    def _config(self) -> Config:
        return Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=MAX_CONNECTIONS,
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent_extra="conductor-aws-provisioner",
        )

    def _as_user(self, account: Account, region: str | None) -> boto3.Session:
        if account.secret is None:
            return boto3.Session(region_name=region)
        try:
            return boto3.Session(
                aws_access_key_id=account.secret["accessKeyId"],
                aws_secret_access_key=account.secret["secretAccessKey"],
                aws_session_token=account.secret.get("sessionToken"),
                region_name=region,
            )
        except KeyError as error:
            message = f"the Secret lacks the key {error.args[0]}"
            raise Refused("open", account.name, "CredentialsMissing", message) from None

    def _assumed(self, role: str, region: str | None) -> boto3.Session:
        """A session as the role, renewed by botocore in the thread of the call that finds it expiring."""
        source: Any = self._session

        def client(service: str, **options: Any) -> Any:
            return source.client(service, endpoint_url=self._endpoint, config=self._config, **options)

        fetcher = AssumeRoleCredentialFetcher(
            client_creator=client,
            source_credentials=source.get_credentials(),
            role_arn=role,
            extra_args={"RoleSessionName": "conductor-aws-provisioner"},
        )
        inner: Any = botocore.session.get_session()
        inner._credentials = DeferredRefreshableCredentials(
            refresh_using=fetcher.fetch_credentials, method="assume-role"
        )
        return boto3.Session(botocore_session=inner, region_name=region or source.region_name)


def account_id(session: AwsSession) -> str:
    """Whose account it is. One blocking call; raises what boto3 raises."""
    return str(session.client("sts").get_caller_identity()["Account"])


async def check_account(account: Account, session: AwsSession) -> None:
    """Raises Refused unless the session is in the account that the ProviderConfig expects."""

    def ask() -> str:
        try:
            return account_id(session)
        except (ClientError, BotoCoreError) as error:
            raise sorted_error("GetCallerIdentity", account.name, error) from None

    found = await account.calls.blocking("GetCallerIdentity", account.name, ask)
    if found != account.account:
        message = f"the credentials are of account {found}, and the ProviderConfig expects {account.account}"
        raise Refused("GetCallerIdentity", account.name, "WrongAccount", message, reason="WrongAccount")


def sorted_error(
    action: str, target: str, error: ClientError | BotoCoreError, hidden: str | None = None
) -> ProviderError:
    """What boto3 raised, sorted, with ``hidden`` left out of its text."""

    def clean(text: str) -> str:
        return text.replace(hidden, "***") if hidden else text

    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        metadata = error.response.get("ResponseMetadata")
        return sort(
            action,
            target,
            Answer(
                code=details.get("Code", "Unknown"),
                message=clean(details.get("Message", str(error))),
                http_status=metadata["HTTPStatusCode"] if metadata else 0,
                headers=metadata["HTTPHeaders"] if metadata else {},
            ),
        )
    kind = Refused if isinstance(error, NoCredentialsError) else Transient
    return kind(action, target, type(error).__name__, clean(str(error)))


def _keep_request_bodies_out_of_logs() -> None:
    """At DEBUG, botocore and urllib3 log request bodies, and a create's carries the master password."""
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.INFO)

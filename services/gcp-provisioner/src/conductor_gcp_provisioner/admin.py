"""The calls of the Cloud SQL Admin API that the driver makes, over Google's discovery client.

The client is made from the discovery document that it ships with, without a request. httplib2, which it speaks through,
is not safe between threads, so each call has a connection of its own. Retries belong to the reconciler, which survives
a crash, and not to the library.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

import google_auth_httplib2
import httplib2
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from googleapiclient.discovery import build
from googleapiclient.errors import Error as ClientError
from googleapiclient.errors import HttpError

from conductor_gcp_provisioner.connection import Connection
from conductor_gcp_provisioner.errors import Answer, sort
from conductor_gcp_provisioner.identity import Identity
from conductor_gcp_provisioner.instance import Instance, Operation
from conductor_gcp_provisioner.settings import base_url
from conductor_provisioner.driver import Calls
from conductor_provisioner.errors import NotLetIn, Refused, Transient

Json = dict[str, Any]

PAGE = 500
MAX_OPERATIONS = 20
"""Looked at of one instance: one at a time is under way, and it is among the latest."""


class Admin:
    """One project's Cloud SQL."""

    def __init__(self, project: str, calls: Calls, identity: Identity, endpoint: str | None) -> None:
        """Reads the discovery document; makes no call."""
        _keep_request_bodies_out_of_logs()
        self.project = project
        self._calls = calls
        self._credentials = identity.credentials
        self._api = _requests(endpoint)

    async def get(self, name: str) -> Instance:
        answer = await self._call(
            "GetInstance", name, lambda api: api.instances().get(project=self.project, instance=name)
        )
        return Instance.parse(answer)

    async def instances(self) -> AsyncIterator[Instance]:
        """All of the project. Raises Transient when Google could not ask every region."""
        token: str | None = None
        while True:
            where = {"project": self.project, "maxResults": PAGE, "pageToken": token}
            page = await self._call("ListInstances", self.project, partial(_list, where))
            if warnings := page.get("warnings"):
                said = "; ".join(str(each.get("message") or each.get("code")) for each in warnings)
                raise Transient("ListInstances", self.project, "Incomplete", said)
            for each in page.get("items") or ():
                yield Instance.parse(each)
            token = page.get("nextPageToken")
            if not token:
                return

    async def insert(self, body: Json) -> Operation:
        return await self._operation(
            "InsertInstance",
            body["name"],
            lambda api: api.instances().insert(project=self.project, body=body),
            hidden=body.get("rootPassword"),
        )

    async def patch(self, name: str, body: Json) -> Operation:
        return await self._operation(
            "PatchInstance",
            name,
            lambda api: api.instances().patch(project=self.project, instance=name, body=body),
        )

    async def delete(self, name: str, *, final_backup_days: int | None) -> Operation:
        last = (
            {}
            if final_backup_days is None
            else {"enableFinalBackup": True, "finalBackupTtlDays": str(final_backup_days)}
        )
        return await self._operation(
            "DeleteInstance",
            name,
            lambda api: api.instances().delete(project=self.project, instance=name, **last),
        )

    async def operation(self, name: str) -> Operation:
        return await self._operation(
            "GetOperation", name, lambda api: api.operations().get(project=self.project, operation=name)
        )

    async def operations(self, instance: str) -> list[Operation]:
        """The latest ones of an instance, the latest first, also where the API promises neither."""
        answer = await self._call(
            "ListOperations",
            instance,
            lambda api: api.operations().list(
                project=self.project, instance=instance, maxResults=MAX_OPERATIONS
            ),
        )
        found = [Operation.parse(each) for each in answer.get("items") or ()]
        of_it = [each for each in found if each.target in (None, instance)]
        return sorted(of_it, key=lambda each: each.begun, reverse=True)

    async def usernames(self, instance: str) -> Mapping[str, str]:
        """The host of each user: the one from anywhere, if there are several of one name."""
        answer = await self._call(
            "ListUsers",
            instance,
            lambda api: api.users().list(project=self.project, instance=instance),
        )
        found: dict[str, str] = {}
        for each in answer.get("items") or ():
            name, host = each.get("name", ""), each.get("host") or ""
            if name not in found or host == "%":
                found[name] = host
        return found

    async def insert_user(self, instance: str, name: str, host: str, password: str) -> Operation:
        body = {"name": name, "password": password, **({"host": host} if host else {})}
        return await self._operation(
            "InsertUser",
            instance,
            lambda api: api.users().insert(project=self.project, instance=instance, body=body),
            hidden=password,
        )

    async def set_password(self, instance: str, name: str, host: str, password: str) -> Operation:
        where = {"name": name, **({"host": host} if host else {})}
        # Google's own tool says both, too: which user is in the URL, and the user as it is to be.
        body = {**where, "password": password}
        return await self._operation(
            "UpdateUser",
            instance,
            lambda api: api.users().update(project=self.project, instance=instance, body=body, **where),
            hidden=password,
        )

    async def _operation(
        self, action: str, target: str, request: Callable[[Any], Any], *, hidden: str | None = None
    ) -> Operation:
        return Operation.parse(await self._call(action, target, request, hidden=hidden))

    async def _call(
        self, action: str, target: str, request: Callable[[Any], Any], *, hidden: str | None = None
    ) -> Json:
        """One call; every way in which it can fail is a ProviderError, without the secret of the request."""

        def call() -> Json:
            try:
                answer: Any = request(self._api).execute(http=self._connection(), num_retries=0)
                if not isinstance(answer, dict):
                    raise Transient(action, target, "NotUnderstood", "the answer is no JSON object")
                return answer
            except HttpError as error:
                headers = {key.lower(): value for key, value in error.resp.items()}
                phrase = str(error.resp.reason or "")
                said = Answer.parse(error.status_code, phrase, error.content, headers, hidden=hidden)
                # The cause is cut off: its text is what the secret was taken out of.
                raise sort(action, target, said, datetime.now(UTC)) from None
            except RefreshError as error:
                kind = Transient if getattr(error, "retryable", False) else NotLetIn
                raise kind(action, target, "RefreshError", str(error)) from None
            except TransportError as error:
                raise Transient(action, target, "TransportError", str(error)) from None
            except GoogleAuthError as error:
                raise Refused(action, target, type(error).__name__, str(error)) from None
            except (ClientError, httplib2.HttpLib2Error, OSError, ValueError) as error:
                raise Transient(action, target, type(error).__name__, str(error) or "no answer") from None

        return await self._calls.blocking(action, target, call)

    def _connection(self) -> Any:
        connection = Connection()
        if isinstance(self._credentials, AnonymousCredentials):
            return connection
        return google_auth_httplib2.AuthorizedHttp(self._credentials, http=connection)


@lru_cache(maxsize=32)
def _requests(endpoint: str | None) -> Any:
    """What makes requests for an API, and keeps no state: it is the same for all accounts there."""
    return build(
        "sqladmin",
        "v1",
        # Each request is executed with a connection that has the real ones.
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": base_url(endpoint)} if endpoint is not None else None,
        static_discovery=True,
        cache_discovery=False,
    )


def _list(where: Json, api: Any) -> Any:
    return api.instances().list(**where)


def _keep_request_bodies_out_of_logs() -> None:
    """At DEBUG, Google's libraries may log requests, and an insert's carries the root password."""
    for name in ("google", "google_auth_httplib2", "googleapiclient", "httplib2"):
        logging.getLogger(name).setLevel(logging.INFO)

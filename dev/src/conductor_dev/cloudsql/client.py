"""Google's own client of the API, pointed at the stand-in, for those who look into the cloud or change it by hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httplib2
import requests
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build

Json = dict[str, Any]
TIMEOUT = 30


@dataclass
class CloudSqlClient:
    """Calls of one project, by their names: ``client("instances.get", instance="db")``."""

    url: str
    project: str

    def __call__(self, method: str, **parameters: Any) -> Json:
        """Raises googleapiclient's HttpError."""
        resource, _, verb = method.partition(".")
        if resource != "flags":
            parameters = {"project": self.project, **parameters}
        request = getattr(getattr(self._api, resource)(), verb)(**parameters)
        answer: Json = request.execute(http=httplib2.Http(timeout=TIMEOUT))
        return answer

    def steer(self, what: str, written: Any = None, *, method: str = "POST") -> Any:
        """One of the stand-in's own resources: see ``server``."""
        answer = requests.request(method, f"{self.url}/conductor/{what}", json=written, timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.json()

    def calls(self, method: str) -> dict[str, int]:
        """How often it was called so far: ``{"succeeded": 1, "refused": 0}``."""
        counted: dict[str, dict[str, int]] = self.steer("calls", method="GET")
        return counted.get(method, {"succeeded": 0, "refused": 0})

    @cached_property
    def _api(self) -> Any:
        return build(
            "sqladmin",
            "v1",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.url},
            static_discovery=True,
            cache_discovery=False,
        )

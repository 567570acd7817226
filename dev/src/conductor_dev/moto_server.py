"""The AWS stand-in as a program: moto's server with RDS instances that take their time, and a count of the calls.

`python -m conductor_dev.moto_server --port 0 --port-file FILE --rds-delay 2`. Besides the AWS APIs it serves

- ``GET /conductor/ready``: the instance's name, from ``--name``
- ``POST /conductor/rds-delay?seconds=N``: how long creating, modifying and deleting take from now on
- ``POST /conductor/throttle?calls=N&key=K``: the next N calls with that access key are refused as too many
- ``POST /conductor/fault?kind=throttled|outage&key=K``: every call is refused so from now on, or with a key those with
  that access key; without a kind, none is
- ``GET /conductor/rds-login?instance=N&username=U&password=P``: ``{"opens": true}`` if an instance takes them
- ``GET /conductor/calls``: ``{"rds": {"CreateDBInstance": {"succeeded": 1, "refused": 0}}}``
- ``POST /moto-api/reset``: moto's own: forgets everything but the calls

Calls are handled one at a time: moto's stores are plain dictionaries, and two threads would only share one lock anyway.
"""

from __future__ import annotations

import argparse
import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from conductor_dev.moto_faults import Fault, answer_to
from conductor_dev.rds_lifecycle import RdsLifecycle

FIRST_REFUSAL = 400
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class StandIn:
    """A WSGI application around moto's."""

    def __init__(self, name: str, lifecycle: RdsLifecycle) -> None:
        self._name = name
        self._lifecycle = lifecycle
        self._moto: Wsgi = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._to_throttle: Counter[str] = Counter()
        self._fault: Fault | None = None
        self._faulty_key: str | None = None
        self._calls: Counter[tuple[str, str, str]] = Counter()

    def __call__(self, request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            if request["PATH_INFO"].startswith("/conductor/"):
                return self._own(request, start)
            self._lifecycle.settle()
            key, service, action = _action_of(request)
            outcome = "refused"
            fault = self._fault if self._faulty_key in (None, key) else None
            if action and self._to_throttle[key]:
                self._to_throttle[key] -= 1
                fault = Fault.THROTTLED

            def note_status(status: str, *more: Any) -> Any:
                nonlocal outcome
                outcome = "succeeded" if int(status[:3]) < FIRST_REFUSAL else "refused"
                return start(status, *more)

            try:
                if fault is not None:
                    answer = answer_to(service, fault)
                    note_status(answer.status, [("Content-Type", "text/xml")])
                    return [answer.body]
                return list(self._moto(request, note_status))
            finally:
                if action:
                    self._calls[service, action, outcome] += 1

    def _own(self, request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        match request["REQUEST_METHOD"], request["PATH_INFO"]:
            case "GET", "/conductor/ready":
                answer: object = {"name": self._name}
            case "GET", "/conductor/calls":
                answer = self._counted()
            case "POST", "/conductor/throttle":
                query = parse_qs(request["QUERY_STRING"])
                self._to_throttle[query["key"][0]] = int(query["calls"][0])
                answer = dict(self._to_throttle)
            case "POST", "/conductor/rds-delay":
                self._lifecycle.delay = float(parse_qs(request["QUERY_STRING"])["seconds"][0])
                answer = {"seconds": self._lifecycle.delay}
            case "GET", "/conductor/rds-login":
                answer = {"opens": _opens(parse_qs(request["QUERY_STRING"]))}
            case "POST", "/conductor/fault":
                query = parse_qs(request["QUERY_STRING"])
                self._fault = Fault(query["kind"][0]) if "kind" in query else None
                self._faulty_key = query["key"][0] if "key" in query else None
                answer = {"kind": self._fault}
            case _:
                start("404 Not Found", [])
                return []
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _counted(self) -> dict[str, dict[str, dict[str, int]]]:
        counted: dict[str, dict[str, dict[str, int]]] = {}
        for (service, action, outcome), number in self._calls.items():
            of_action = counted.setdefault(service, {}).setdefault(action, {"succeeded": 0, "refused": 0})
            of_action[outcome] += number
        return counted


def _opens(login: dict[str, list[str]]) -> bool:
    """Whether a DB instance, in whatever account and region, has this master user and this password."""
    (name,), (username,), (password,) = login["instance"], login["username"], login["password"]
    return any(
        (found._master_username, found._master_user_password) == (username, password)
        for regions in get_backend("rds").values()
        for backend in regions.values()
        if (found := backend.databases.get(name)) is not None
    )


def _action_of(request: dict[str, Any]) -> tuple[str, str, str]:
    """Access key and service, from the signature, and the action, of the query and JSON protocols; else empty."""
    _, _, scope = request.get("HTTP_AUTHORIZATION", "").partition("Credential=")
    parts = scope.partition(",")[0].split("/")
    key, service = (parts[0], parts[-2]) if len(parts) > 1 else ("", "")
    if target := request.get("HTTP_X_AMZ_TARGET"):
        return key, service, target.rpartition(".")[2]
    if not request.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return key, service, ""
    body = request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
    request["wsgi.input"] = io.BytesIO(body)
    return key, service, parse_qs(body.decode(errors="replace")).get("Action", [""])[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="conductor_dev.moto_server", description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="port of 127.0.0.1; 0: any that is free")
    parser.add_argument("--port-file", type=Path, help="the port is written here once it is bound")
    parser.add_argument("--name", default="moto", help="what /conductor/ready answers")
    parser.add_argument(
        "--rds-delay", type=float, default=2.0, help="seconds that a transition of an instance takes"
    )
    arguments = parser.parse_args()
    lifecycle = RdsLifecycle(arguments.rds_delay)
    lifecycle.install()
    server = make_server(
        "127.0.0.1",
        arguments.port,
        StandIn(arguments.name, lifecycle),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    if arguments.port_file:
        unfinished = arguments.port_file.with_suffix(".unfinished")
        unfinished.write_text(str(server.port))
        unfinished.replace(arguments.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()

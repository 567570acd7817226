"""The API server's own count of requests, from its metrics. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

WRITING = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
HEARTBEATS = frozenset({"leases"})
"""Renewed by the clock, whatever there is to do: the leaders' own, the controller manager's and the API server's."""
REVIEWS = frozenset({"tokenreviews", "subjectaccessreviews", "selfsubjectreviews"})
"""Questions that are posted: they write nothing."""
_LINE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>[0-9.e+]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Requests:
    """So far, by ``VERB resource/subresource``; successful and refused ones."""

    writes: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)

    def since(self, before: Requests) -> Requests:
        return Requests(self.writes - before.writes, self.reads - before.reads)


def parse(metrics: str) -> Requests:
    """Of a text in Prometheus' exposition format. What is not asked of a resource (``/metrics`` itself) is left out."""
    found = Requests()
    for line in _LINE.finditer(metrics):
        labels = dict(_LABEL.findall(line["labels"]))
        verb, resource = labels["verb"], labels["resource"]
        if not resource or resource in HEARTBEATS:
            continue
        name = f"{verb} {'/'.join(part for part in (resource, labels['subresource']) if part)}"
        writes = verb in WRITING and resource not in REVIEWS
        (found.writes if writes else found.reads)[name] += round(float(line["count"]))
    return found

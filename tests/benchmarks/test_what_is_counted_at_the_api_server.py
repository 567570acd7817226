"""Writes are counted by verb and resource; questions, heartbeats and requests for nothing in particular are not writes."""

from __future__ import annotations

from benchmarks import apirequests


def line(count: str, labels: str, name: str = "apiserver_request_total") -> str:
    """Labels as ``verb resource subresource``; the others are as the API server has them."""
    verb, resource, subresource = (part.strip("-") for part in labels.split())
    return (
        f'{name}{{code="201",component="apiserver",dry_run="",group="g",resource="{resource}",scope="resource",'
        f'subresource="{subresource}",verb="{verb}",version="v1"}} {count}\n'
    )


BEFORE = "# HELP apiserver_request_total [STABLE] Counter of requests\n" + line("7", "POST secrets -")
AFTER = (
    line("1.2e+01", "POST secrets -")
    + line("1", "POST secrets -").replace("201", "409")
    + line("4", "APPLY mysqlinstances status")
    + line("2", "WATCH mysqlinstances -")
    + line("99", "PUT leases -")
    + line("5", "POST tokenreviews -")
    + line("4", "GET - /metrics")
    + line("1000", "POST secrets -", "apiserver_request_duration_seconds_count")
)


def test_what_was_written_meanwhile_is_the_difference_and_refusals_count() -> None:
    since = apirequests.parse(AFTER).since(apirequests.parse(BEFORE))
    assert since.writes == {"POST secrets": 6, "APPLY mysqlinstances/status": 4}


def test_a_question_that_is_posted_is_a_read_and_a_lease_is_neither() -> None:
    since = apirequests.parse(AFTER).since(apirequests.parse(BEFORE))
    assert since.reads == {"WATCH mysqlinstances": 2, "POST tokenreviews": 5}

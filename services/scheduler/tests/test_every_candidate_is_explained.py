"""The table behind the condition: a row for each candidate, the decision's own verdicts, nothing that is not to be told."""

from __future__ import annotations

import json

from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.explain import ROWS, explain
from conductor_scheduler.policy import Policy

POLICY = Policy(SchedulerConfig())


def test_each_candidate_has_its_verdict_and_those_that_fit_their_scores(
    make_claim, make_rds, make_class, view_of
):
    claim = make_claim(requirements={"capacity": {"storage": "40Gi"}})
    view = view_of(
        claim,
        make_rds("small", storage="20Gi"),
        make_rds("large"),
        make_rds("tight", storage="40Gi"),
        make_class(),
    )
    answer = explain(claim, view, POLICY)
    assert (answer["decision"], answer["fit"], answer["total"], answer["profile"]) == (
        "Bind",
        3,
        4,
        "default",
    )
    assert answer["message"].startswith("would be bound to tight: 3/4 fit")
    tight, large, source, small = answer["candidates"]
    assert [row["name"] for row in answer["candidates"]] == ["tight", "large", "rds-performance", "small"]
    assert [row["chosen"] for row in answer["candidates"]] == [True, False, False, False]
    assert tight["scores"]["best-fit"] == 100
    assert large["scores"]["best-fit"] == 80
    assert tight["total"] > large["total"] > source["total"]
    assert (source["exists"], source["fits"]) == (False, True)
    assert (small["fits"], small["plugin"], small["reason"]) == (False, "capacity", "TooSmall")
    assert small["detail"] == "capacity.storage 20Gi < 40Gi"


def test_full_resources_are_explained_one_by_one(make_claim, make_rds, view_of, ref_to):
    holder, claim = make_claim("holder"), make_claim()
    taken = [make_rds(f"rds-{n}", refs=(ref_to(make_claim(f"holder-{n}")),)) for n in range(9)]
    answer = explain(claim, view_of(holder, claim, *taken), POLICY)
    assert [row["detail"] for row in answer["candidates"]] == [f"is bound to holder-{n}" for n in range(9)]
    assert (answer["decision"], answer["message"]) == (
        "Wait",
        "0/9 fit: 9 InUse; rds-0: is bound to holder-0",
    )


def test_what_is_not_for_the_namespace_is_counted_and_not_named(make_claim, make_rds, make_class, view_of):
    claim = make_claim()
    view = view_of(
        claim,
        make_rds("secret-rds", allowedNamespaces={"from": "Same"}),
        make_class("secret-class", allowedNamespaces={"from": "Same"}),
    )
    answer = explain(claim, view, POLICY)
    assert "secret" not in json.dumps(answer)
    assert answer["notNamed"] == [{"detail": "is not for claims of namespace team-a", "count": 2}]
    assert answer["total"] == 2


def test_neither_endpoints_nor_claims_of_other_namespaces_are_told(make_claim, make_rds, view_of, ref_to):
    claim = make_claim()
    elsewhere = {**ref_to(make_claim("their-secret-project")), "namespace": "team-b"}
    held = make_rds(refs=(elsewhere,))
    endpoint = {"endpoint": {"host": "db.example.com", "port": 3306}}
    held = held.model_validate({**held.model_dump(mode="json", by_alias=True), "status": endpoint})
    text = json.dumps(explain(claim, view_of(claim, held), POLICY))
    assert "their-secret-project" not in text
    assert "team-b" not in text
    assert "db.example.com" not in text


def test_a_bound_claim_shows_what_it_has(make_claim, make_rds, view_of, ref_to):
    claim = make_claim()
    answer = explain(
        claim, view_of(claim, make_rds("mine", refs=(ref_to(claim),)), make_rds("other")), POLICY
    )
    assert (answer["decision"], answer["message"]) == ("Bound", "is bound to mine")
    assert [row["name"] for row in answer["candidates"] if row["chosen"]] == ["mine"]


def test_the_table_is_bounded(make_claim, make_rds, view_of):
    claim = make_claim()
    answer = explain(claim, view_of(claim, *(make_rds(f"rds-{n:04}") for n in range(ROWS + 7))), POLICY)
    assert (len(answer["candidates"]), answer["notListed"], answer["fit"]) == (ROWS, 7, ROWS + 7)

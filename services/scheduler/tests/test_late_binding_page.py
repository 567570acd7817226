"""docs/late-binding.md says of its manifests what the scheduler decides about them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from conductor_model.databases import MySQLInstance
from conductor_model.resourceclass import ResourceClass
from conductor_scheduler.config import parse
from conductor_scheduler.decide import Provision, Wait, decide
from conductor_scheduler.policy import Policy
from conductor_scheduler.status import chosen

PAGE = (Path(__file__).parents[3] / "docs" / "late-binding.md").read_text()
CLAIM, CLASSES, CONFIG = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
POLICY = Policy(parse(CONFIG, "late-binding.md"))


def decided(view_of: Any, **changes: Any) -> Any:
    written = yaml.safe_load(CLAIM)
    written["metadata"]["uid"] = "5e2f0c4a-0000-4000-8000-000000000001"
    requirements = {**written["spec"]["requirements"], **changes.pop("requirements", {})}
    written["spec"] |= {"requirements": requirements, **changes}
    claim = MySQLInstance.model_validate(written)
    classes = [ResourceClass.model_validate(each) for each in yaml.safe_load_all(CLASSES)]
    return decide(claim, view_of(claim, *classes), POLICY)


@pytest.mark.parametrize(
    ("changes", "kind", "source"),
    [
        ({}, "CloudSQLInstance", "cloudsql-fast"),
        ({"requirements": {"region": "us-east-1"}}, "RDSInstance", "rds-fast"),
        ({"resourceClass": "rds-fast"}, "RDSInstance", "rds-fast"),
    ],
    ids=["as above", "region", "class"],
)
def test_the_claim_lands_where_the_page_says(view_of: Any, changes: Any, kind: str, source: str):
    made = decided(view_of, **changes)
    assert isinstance(made, Provision)
    assert (made.draft.concrete.kind, made.source.metadata.name) == (kind, source)


def test_the_claim_says_what_the_page_prints(view_of: Any):
    made = decided(view_of)
    _, message = chosen(made)
    printed = re.search(r"2/2 fit, provisioning orders-\w+ from class \S+", PAGE)
    assert printed is not None
    assert re.sub(r"orders-\w+", "orders-*", message) == re.sub(r"orders-\w+", "orders-*", printed[0])


def test_what_nobody_offers_is_waited_for(view_of: Any):
    assert isinstance(decided(view_of, version="5.7"), Wait)
    named = decided(view_of, resourceName="orders-db")
    assert isinstance(named, Wait)
    assert named.reason == "ResourceNotFound"

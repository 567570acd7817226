"""docs/api-reference.md: every field that the API server knows, and nothing that it does not."""

from __future__ import annotations

import re
from pathlib import Path

from conductor_model.kinds import OWN_KINDS
from conductor_model.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "api-reference.md"


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text() == reference(), "run make crds"


def test_every_kind_has_its_section() -> None:
    assert re.findall(r"^## (\w+)$", reference(), re.MULTILINE) == [kind.type.gvk.kind for kind in OWN_KINDS]


def test_fields_inside_lists_and_maps_are_there_with_types_defaults_and_rules() -> None:
    rds = reference().split("## RDSInstance\n")[1].split("\n## ")[0]
    assert "| `spec.engine` * | `mysql`, `postgres` |" in rds
    assert "| `spec.maxClaims` | integer | `1` | How many claims may share it. |" in rds
    assert "| `spec.claimRefs[].releasedAt` | time |" in rds
    assert "| `status.endpoint.port` * | integer |" in rds
    assert "*selector goes with from: Selector, and with nothing else.*" in rds


def test_no_cell_breaks_its_row() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if len(re.findall(r"(?<!\\)\|", row)) != 5] == []

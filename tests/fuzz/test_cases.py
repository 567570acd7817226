"""The same seed gives the same cases, of every kind and in every way wrong."""

from __future__ import annotations

from cases import draw
from schemas import schemas


def test_a_case_is_a_function_of_its_seed_and_number():
    assert draw(7, 60) == draw(7, 60)
    assert draw(7, 60)[:20] == draw(7, 20)
    assert draw(7, 20) != draw(8, 20)


def test_every_kind_is_tried_is_changed_and_has_its_status_written_by_hand():
    cases = draw(1, 400)
    kinds = {each.kind.group_kind for each in schemas()}
    assert {each.schema.kind.group_kind for each in cases} == kinds
    assert {each.schema.kind.group_kind for each in cases if each.changes} == kinds
    with_status = {each.kind.group_kind for each in schemas() if "status" in each.root["properties"]}
    assert {each.schema.kind.group_kind for each in cases if each.rewrites_status} == with_status

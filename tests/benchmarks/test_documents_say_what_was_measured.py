"""Figures in the documents are those of benchmarks/results: ``make bench-results`` writes both."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import document
from benchmarks.machine import CHECKOUT


@pytest.mark.parametrize("name", document.DOCUMENTS)
def test_a_document_has_the_figures_of_the_results_and_no_others(name: str) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    assert text == document.filled(text), "run: python -m benchmarks document"


@pytest.mark.parametrize("name", document.DOCUMENTS)
def test_every_document_has_figures(name: str) -> None:
    assert "<!-- figures: " in (CHECKOUT / name).read_text(encoding="utf-8")


def test_whatever_stood_between_the_marks_is_replaced_and_the_rest_stays() -> None:
    before = "# A title\n<!-- figures: goals -->\nstale\n<!-- end of figures -->\nThe end.\n"
    after = document.filled(before)
    assert "stale" not in after
    assert after.startswith("# A title\n<!-- figures: goals -->\n")
    assert after.endswith("<!-- end of figures -->\nThe end.\n")
    assert document.filled(after) == after


def test_every_goal_that_was_measured_is_told_with_whether_it_was_reached() -> None:
    told = document.filled("<!-- figures: goals -->\n<!-- end of figures -->")
    rows = re.findall(r"^\| (.+) \| (.+) \| (reached|MISSED) \|$", told, re.MULTILINE)
    verdicts = list(document.all_verdicts(document.results.FOLDER))
    assert rows == [(each.goal, each.measured, each.outcome) for each in verdicts]
    assert any("decisions/s" in goal for goal, _, _ in rows)
    assert any("3.5 x" in goal for goal, _, _ in rows)


def test_what_was_not_measured_is_said_to_be_so(tmp_path: Path) -> None:
    told = document.filled("<!-- figures: claims -->\nold\n<!-- end of figures -->", tmp_path)
    assert "Not measured yet" in told
    assert "old" not in told


def test_a_figure_that_nobody_measures_is_an_error() -> None:
    with pytest.raises(KeyError):
        document.filled("<!-- figures: horoscope -->\n<!-- end of figures -->")

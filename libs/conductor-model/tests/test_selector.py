"""Label selectors mean what they mean in Kubernetes, and say which requirement failed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from conductor_model.selector import LabelRequirement, LabelSelector, Operator

names = st.sampled_from(["environment", "tier", "weight"])
values = st.sampled_from(["dev", "prod", "5", "10", "-3", ""])
labels = st.dictionaries(names, values)


def requirement(key: str, operator: str, *values: str) -> LabelRequirement:
    return LabelRequirement(key=key, operator=Operator(operator), values=values)


def selector(*requirements: LabelRequirement, **match_labels: str) -> LabelSelector:
    return LabelSelector(match_labels=match_labels, match_expressions=requirements)


set_requirements = st.builds(
    lambda key, operator, chosen: requirement(key, operator, *chosen),
    names,
    st.sampled_from(["In", "NotIn"]),
    st.lists(values, min_size=1, max_size=3),
)


@pytest.mark.parametrize(
    ("one", "matching", "failing"),
    [
        (
            requirement("environment", "In", "dev", "test"),
            [{"environment": "dev"}],
            [{"environment": "prod"}, {}],
        ),
        (requirement("environment", "NotIn", "dev"), [{"environment": "prod"}, {}], [{"environment": "dev"}]),
        (requirement("environment", "Exists"), [{"environment": ""}], [{"tier": "x"}]),
        (requirement("environment", "DoesNotExist"), [{"tier": "x"}], [{"environment": ""}]),
        (requirement("weight", "Gt", "9"), [{"weight": "10"}], [{"weight": "9"}, {"weight": "heavy"}, {}]),
        (requirement("weight", "Lt", "9"), [{"weight": "-3"}], [{"weight": "9"}, {"weight": "light"}, {}]),
    ],
)
def test_operators_mean_what_they_mean_in_kubernetes(
    one: LabelRequirement, matching: list[dict[str, str]], failing: list[dict[str, str]]
) -> None:
    assert all(selector(one).matches(labels) for labels in matching)
    assert not any(selector(one).matches(labels) for labels in failing)


@given(set_requirements, labels)
def test_not_in_is_the_opposite_of_in(one: LabelRequirement, carried: dict[str, str]) -> None:
    opposite = {Operator.IN: Operator.NOT_IN, Operator.NOT_IN: Operator.IN}[one.operator]
    assert one.matches(carried) != requirement(one.key, opposite, *one.values).matches(carried)


@given(st.lists(set_requirements, max_size=4), labels, labels)
def test_all_requirements_must_hold(
    requirements: list[LabelRequirement], wanted: dict[str, str], carried: dict[str, str]
) -> None:
    expected = wanted.items() <= carried.items() and all(one.matches(carried) for one in requirements)
    assert selector(*requirements, **wanted).matches(carried) == expected


@given(st.lists(set_requirements, max_size=4), labels)
def test_what_is_unmet_is_told_exactly_when_it_does_not_match(
    requirements: list[LabelRequirement], carried: dict[str, str]
) -> None:
    both = selector(*requirements)
    assert (both.unmet(carried) is None) == both.matches(carried)


@given(labels)
def test_empty_selector_matches_everything(carried: dict[str, str]) -> None:
    assert LabelSelector().matches(carried)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (selector(requirement("environment", "In", "dev")), "environment In [dev]"),
        (selector(requirement("environment", "In", "dev", "test")), "environment In [dev, test]"),
        (selector(requirement("tier", "Exists"), requirement("x", "Exists")), "tier Exists"),
        (selector(requirement("weight", "Gt", "5")), "weight Gt 5"),
        (selector(requirement("tier", "Exists"), environment="dev"), "environment = dev"),
    ],
)
def test_first_unmet_requirement_is_told(chosen: LabelSelector, told: str) -> None:
    assert chosen.unmet({"environment": "prod"}) == told


@pytest.mark.parametrize(
    ("operator", "values", "told"),
    [
        ("In", (), "In needs at least one value"),
        ("NotIn", (), "NotIn needs at least one value"),
        ("Exists", ("x",), "Exists takes no values"),
        ("DoesNotExist", ("x",), "DoesNotExist takes no values"),
        ("Gt", ("1", "2"), "Gt needs exactly one integer"),
        ("Lt", ("heavy",), "Lt needs exactly one integer"),
        ("Near", ("1",), "Input should be 'In', 'NotIn'"),
    ],
)
def test_requirement_whose_values_do_not_fit_its_operator_is_refused(
    operator: str, values: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        LabelRequirement.model_validate({"key": "environment", "operator": operator, "values": values})


def test_selector_is_read_as_manifests_write_it() -> None:
    written = {
        "matchLabels": {"tier": "db"},
        "matchExpressions": [{"key": "environment", "operator": "Exists"}],
    }
    assert LabelSelector.model_validate(written) == selector(requirement("environment", "Exists"), tier="db")

"""Engine versions are ordered across clouds' ways of writing them; constraints admit by their numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor_model.meta import Model
from conductor_model.version import EngineVersion, VersionConstraint

releases = st.lists(st.integers(0, 999), min_size=1, max_size=5).map(tuple)
builds = st.sampled_from(
    ["", "-rds.20231101", "-R2", "-R10", "-beta1", "-rc2", "-20231101", ".mysql_aurora.3.04.0"]
)
versions = st.builds(
    lambda release, build: EngineVersion.parse(".".join(map(str, release)) + build), releases, builds
)


def version(text: str) -> EngineVersion:
    return EngineVersion.parse(text)


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("5.7", "5.7"),
        (5.9, "5.9"),
        (16, "16"),
        ("MYSQL_5_7", "5.7"),
        ("MYSQL_8_0_35", "8.0.35"),
        ("POSTGRES_15", "15"),
        ("8.0.35-rds.20231101", "8.0.35-rds.20231101"),
        ("8.0.35-20231101", "8.0.35-20231101"),
        ("16.3-R2", "16.3-r2"),
        ("17beta1", "17-beta1"),
        ("8.0.mysql_aurora.3.04.0", "8.0-mysql_aurora.3.04.0"),
        ("10.6.14-MariaDB-log", "10.6.14-mariadb-log"),
        (" 5.7 ", "5.7"),
    ],
)
def test_versions_are_normalised(written: str | int | float, normalised: str) -> None:
    assert str(EngineVersion.parse(written)) == normalised


@given(versions)
def test_normalised_text_stands_for_the_same_version(one: EngineVersion) -> None:
    assert EngineVersion.parse(str(one)) == one


@given(versions, versions, versions)
def test_order_is_total(one: EngineVersion, two: EngineVersion, three: EngineVersion) -> None:
    assert (one < two) + (one == two) + (one > two) == 1
    if one <= two <= three:
        assert one <= three
    if one == two:
        assert hash(one) == hash(two)


@given(releases, releases)
def test_order_follows_the_numbers(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    width = max(len(one), len(two))
    padded_one, padded_two = (release + (0,) * (width - len(release)) for release in (one, two))
    assert (EngineVersion(one) < EngineVersion(two)) == (padded_one < padded_two)


def test_builds_of_a_version_are_ordered_after_it_and_previews_before() -> None:
    ascending = ["17-beta1", "17-rc1", "17", "17-R2", "17-R10", "17.1"]
    assert sorted(map(version, reversed(ascending))) == [version(text) for text in ascending]


@pytest.mark.parametrize(
    "nonsense", ["", "banana", "5.", ".7", "5..7", "-1", "5 7", "1.2.3.4.5.6.7", "5.7\n5", "é"]
)
def test_what_is_no_version_is_refused(nonsense: str) -> None:
    with pytest.raises(ValueError, match="is not an engine version such as"):
        EngineVersion.parse(nonsense)


@pytest.mark.parametrize("nonsense", [True, None, {}])
def test_what_is_neither_text_nor_number_is_no_version(nonsense: object) -> None:
    with pytest.raises(ValueError, match="is not an engine version"):
        EngineVersion.parse(nonsense)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("constraint", "admitted", "refused"),
    [
        (">= 5.6", ["5.6", "5.6.1", "5.7", "8.0.35-rds.20231101", "MYSQL_5_7"], ["5.5", "5.5.62", "5"]),
        ("5.7", ["5.7", "5.7.0", "5.7.44", "5.7.44-rds.1"], ["5.6.51", "5.70", "8.0"]),
        ("16", ["16", "16.3", "16.3-R2"], ["15.9", "17"]),
        ("5.7.*", ["5.7.44"], ["5.8"]),
        (">= 5.6, < 8", ["5.6", "5.7.44"], ["5.5", "8", "8.0.35"]),
        (">=5.6,<8", ["5.7"], ["8.0"]),
        ("~= 8.0", ["8.0", "8.4.2"], ["7.9", "9.0"]),
        ("~= 8.0.30", ["8.0.35"], ["8.0.29", "8.1"]),
        ("!= 5.7.1", ["5.7", "5.7.2"], ["5.7.1", "5.7.1-rds.9"]),
        ("!= 5.7.*", ["5.6", "8.0"], ["5.7.1"]),
        ("== 8.0.*", ["8.0", "8.0.35"], ["8.1"]),
        ("== 8.0.35", ["8.0.35", "8.0.35-rds.20231101"], ["8.0.34"]),
        ("5.7, != 5.7.1", ["5.7.2"], ["5.7.1"]),
        ("> 5.7", ["5.8"], ["5.7"]),
        (">= 17", ["17", "17-R2"], ["17beta1"]),
    ],
)
def test_constraint_admits_by_the_numbers(constraint: str, admitted: list[str], refused: list[str]) -> None:
    parsed = VersionConstraint.parse(constraint)
    assert [text for text in admitted if not parsed.admits(version(text))] == []
    assert [text for text in refused if parsed.admits(version(text))] == []


@given(releases, releases)
def test_lower_bound_admits_what_is_not_below_it(bound: tuple[int, ...], release: tuple[int, ...]) -> None:
    constraint = VersionConstraint.parse(f">= {EngineVersion(bound)}")
    assert constraint.admits(EngineVersion(release)) == (EngineVersion(release) >= EngineVersion(bound))


@given(releases, st.lists(st.integers(0, 99), max_size=1))
def test_bare_version_admits_its_whole_line(line: tuple[int, ...], more: list[int]) -> None:
    assert VersionConstraint.parse(str(EngineVersion(line))).admits(EngineVersion((*line, *more)))


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        " ",
        ">= banana",
        ">=",
        "5.7,",
        ",5.7",
        "=> 5.7",
        "~= 8",
        ">= 5.*",
        "5.7 8.0",
        "5.7 || 8",
        "== 5.7\n",
        ">= 1" + ".1" * 9,
        ", ".join([">= 1"] * 40),
    ],
)
def test_nonsense_is_refused_with_what_a_constraint_looks_like(nonsense: str) -> None:
    with pytest.raises(
        ValueError, match=r'is not a version constraint: write ">= 5\.6", "5\.7" \(every 5\.7\.x\)'
    ):
        VersionConstraint.parse(nonsense)


@pytest.mark.parametrize(
    ("constraint", "exact"),
    [
        ("5.7", "5.7"),
        ("== 8.0.35", "8.0.35"),
        ("== 8.0.*", "8.0"),
        (">= 5.6", None),
        ("!= 5.7", None),
        ("5.7, < 6", None),
    ],
)
def test_constraint_knows_whether_it_asks_for_one_version(constraint: str, exact: str | None) -> None:
    assert VersionConstraint.parse(constraint).exact == (version(exact) if exact else None)


class Engine(Model):
    running: EngineVersion
    wanted: VersionConstraint


def test_models_keep_the_constraint_as_written() -> None:
    engine = Engine.model_validate_json('{"running": 5.9, "wanted": ">=5.6 , <8"}')
    assert engine.model_dump(mode="json") == {"running": "5.9", "wanted": ">=5.6 , <8"}
    assert engine.wanted.admits(engine.running)

from __future__ import annotations

import pytest

from conductor_scheduler.config import ConfigError, SchedulerConfig, load


def test_no_file_means_the_defaults():
    assert load(None) == SchedulerConfig()


def test_scales_and_regions_are_read_from_the_file(tmp_path):
    path = tmp_path / "scheduler.yaml"
    path.write_text("costScale: [cheap, dear]\nregions: {europe: [eu-west-1]}\n")
    config = load(path)
    assert config.scales.cost_rank("dear") == 1
    assert config.scales.region_contains("europe", "eu-west-1")


def test_a_region_hierarchy_that_loops_ends():
    config = SchedulerConfig(regions={"a": ("b",), "b": ("a",)})
    assert not config.scales.region_contains("a", "c")


@pytest.mark.parametrize("text", ["costScales: [a]", "regions: 5", ": ["])
def test_a_mistake_in_the_file_is_an_error_that_names_it(tmp_path, text):
    path = tmp_path / "scheduler.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"scheduler\.yaml"):
        load(path)


@pytest.mark.parametrize("word", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_word_that_happens_to_be_no_real_number_is_just_a_word(word):
    assert SchedulerConfig().scales.cost_rank(word) is None

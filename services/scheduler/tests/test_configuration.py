"""The configuration file: what it says holds, and what is wrong with it is said."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from conductor_scheduler.config import ConfigError, SchedulerConfig, load
from conductor_scheduler.decide import Bind, Wait, decide
from conductor_scheduler.metrics import Metrics
from conductor_scheduler.policy import Policy
from conductor_scheduler.reload import PolicyFile

HEAD = "apiVersion: scheduler.conductor.io/v1alpha1\nkind: SchedulerConfiguration\n"


@pytest.fixture
def written(tmp_path):
    """Writes the configuration file; its path."""

    def write(text, head=HEAD):
        path = tmp_path / "scheduler.yaml"
        path.write_text(head + text)
        return path

    return write


def test_no_file_means_the_defaults():
    assert load(None) == SchedulerConfig()


def test_scales_and_regions_are_read_from_the_file(written):
    config = load(written("costScale: [cheap, dear]\nregions: {europe: [eu-west-1]}\n"))
    assert config.scales.cost_rank("dear") == 1
    assert config.scales.region_contains("europe", "eu-west-1")


def test_a_region_hierarchy_that_loops_ends():
    config = SchedulerConfig(regions={"a": ("b",), "b": ("a",)})
    assert not config.scales.region_contains("a", "c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("costScales: [a]", "costScales: Extra inputs are not permitted"),
        ("regions: 5", "regions: "),
        (": [", "scheduler.yaml"),
        ("costScale: [a, a]", "costScale: a stands there twice"),
        ("profiles: [{name: a}, {name: a}]", "profiles: a stands there twice"),
        (
            "profiles: [{name: a, plugins: {enabled: [{name: cost, weight: -1}]}}]",
            "profiles[0].plugins.enabled[0].weight: ",
        ),
    ],
)
def test_a_mistake_in_the_file_is_an_error_that_names_file_and_field(written, text, said):
    with pytest.raises(ConfigError) as error:
        load(written(text))
    assert "scheduler.yaml" in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "head", ["", "apiVersion: scheduler.conductor.io/v2\nkind: SchedulerConfiguration\n"]
)
def test_a_file_of_no_version_or_another_is_refused(written, head):
    with pytest.raises(ConfigError, match="apiVersion"):
        load(written("regions: {}\n", head))


@pytest.mark.parametrize("word", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_word_that_happens_to_be_no_real_number_is_just_a_word(word):
    assert SchedulerConfig().scales.cost_rank(word) is None


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ("enabled: [{name: nobodys}]", "profiles[0].plugins.enabled[0].name: no installed package offers"),
        (
            "enabled: [{name: performance, args: {quantities: 5}}]",
            "profiles[0].plugins.enabled[0].args: plugin performance refuses them",
        ),
        ("enabled: [{name: cost}, {name: cost}]", "profiles[0].plugins.enabled: a plugin is enabled twice"),
        ("disabled: [costs]", "profiles[0].plugins.disabled[0]: there is no built-in plugin costs"),
        ("disabled: [sharing]", "profiles[0].plugins.disabled[0]: sharing cannot be disabled"),
    ],
)
def test_a_plugin_that_cannot_be_had_is_an_error_that_names_the_field(written, plugins, said):
    with pytest.raises(ConfigError) as error:
        Policy(load(written(f"profiles: [{{name: a, plugins: {{{plugins}}}}}]\n")))
    assert said in str(error.value)


def test_a_plugin_that_is_disabled_has_no_say(written, make_claim, make_rds, view_of):
    claim = make_claim(requirements={"region": "mars"})
    view = view_of(claim, make_rds(capabilities={"region": "venus"}))
    assert isinstance(decide(claim, view, Policy(SchedulerConfig())), Wait)
    without = Policy(load(written("profiles: [{name: a, plugins: {disabled: [region]}}]\n")))
    assert isinstance(decide(claim, view, without), Bind)


def test_weights_decide_what_counts_most(written, make_claim, make_rds, view_of):
    claim = make_claim(requirements={"capacity": {"storage": "25Gi"}})
    cheap = make_rds("cheap", storage="100Gi", capabilities={"cost": "free-tier"})
    tight = make_rds("tight", storage="25Gi", capabilities={"cost": "high"})
    view = view_of(claim, cheap, tight)
    text = "profiles: [{name: a, plugins: {enabled: [{name: cost, weight: 1000}]}}]\n"
    assert decide(claim, view, Policy(SchedulerConfig())).concrete is tight
    assert decide(claim, view, Policy(load(written(text)))).concrete is cheap


def test_a_claim_is_scheduled_by_the_first_profile_for_its_kind(written, make_claim):
    policy = Policy(
        load(
            written(
                "profiles:\n"
                "  - {name: mysql, kinds: [mysqlinstance.v1alpha1.storage.conductor.io]}\n"
                "  - {name: short, kinds: [PostgreSQLInstance]}\n"
            )
        )
    )
    assert policy.profile_for(make_claim()).name == "mysql"
    assert policy.profile_for(make_claim(kind="PostgreSQLInstance")).name == "short"
    only = Policy(load(written("profiles: [{name: mysql, kinds: [MySQLInstance]}]\n")))
    assert only.profile_for(make_claim(kind="PostgreSQLInstance")).name == "default"


def sample(registry, name, **labels):
    return registry.get_sample_value(name, labels)


def test_a_changed_file_is_taken_up_and_a_bad_one_changes_nothing_but_says_so(written, caplog):
    path = written("costScale: [low, high]\n")
    policies, heard, registry = PolicyFile(path), [], CollectorRegistry()
    metrics = Metrics(registry)
    stop = policies.tell(heard.append)
    policies.look(metrics)
    assert heard == []

    written("costScale: [cheap, dear]\n")
    policies.look(metrics)
    assert heard == [policies.policy]
    assert policies.policy.scales.cost_rank("dear") == 1

    written("costScale: 5\n")
    policies.look(metrics)
    policies.look(metrics)
    assert len(heard) == 1
    assert caplog.text.count("costScale: ") == 1
    assert sample(registry, "conductor_scheduler_config_valid") == 0
    assert sample(registry, "conductor_scheduler_config_reloads_total", result="refused") == 1
    path.unlink()
    policies.look(metrics)
    assert policies.policy.scales.cost_rank("dear") == 1

    stop()
    written("costScale: [other]\n")
    policies.look(metrics)
    assert len(heard) == 1
    assert sample(registry, "conductor_scheduler_config_valid") == 1
    assert sample(registry, "conductor_scheduler_config_reloads_total", result="taken") == 2

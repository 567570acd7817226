"""The example plugin, installed as anybody would install it, and asked through the real scheduler's decisions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "scheduler-plugin-compliance"

ASK = """
import json, sys
from pathlib import Path
from conductor_model.kinds import BY_GROUP_KIND
from conductor_model.refs import GroupVersionKind
from conductor_scheduler.config import ConfigError, load
from conductor_scheduler.explain import explain
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import View

asked = json.load(sys.stdin)
try:
    policy = Policy(load(Path(asked["config"]) if asked["config"] else None))
except ConfigError as error:
    print(json.dumps({"error": str(error)}))
    sys.exit()
view = View()
for manifest in asked["world"]:
    kind = GroupVersionKind.parse(manifest["apiVersion"], manifest["kind"]).group_kind
    found = BY_GROUP_KIND[kind].model.model_validate(manifest)
    view.put(found.key, found)
(claim,) = view.claims.values()
print(json.dumps(explain(claim, view, policy)))
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip has installed the example into."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, *offline, str(EXAMPLE)], check=True)
    return target


@pytest.fixture
def explained(installed, make_claim, make_class):
    """The explanation for a claim with these requirements, of two classes of which one is certified for two rules."""
    classes = [
        make_class("certified", capabilities={"compliance": ["hipaa", "pci"]}),
        make_class("a-plain-one-with-the-same-capacity"),
    ]

    def ask(requirements, *, config=EXAMPLE / "scheduler.yaml", path=installed):
        world = [make_claim(requirements=requirements), *classes]
        dumped = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in world]
        done = subprocess.run(
            [sys.executable, "-c", ASK],
            input=json.dumps({"config": str(config) if config else None, "world": dumped}),
            env={**os.environ, "PYTHONPATH": str(path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    return ask


def test_it_filters_by_a_key_that_the_scheduler_does_not_know(explained):
    answer = explained({"compliance": ["HIPAA"]})
    assert answer["decision"] == "Provision"
    chosen, refused = answer["candidates"]
    assert (chosen["name"], chosen["chosen"]) == ("certified", True)
    assert (refused["plugin"], refused["reason"]) == ("compliance", "NotCompliant")
    assert refused["detail"] == "compliance: not certified for hipaa"
    assert chosen["scores"]["compliance"] == 50


def test_it_scores(explained):
    """Without it the name would decide, and with it the certificates that nobody asked for do not go first."""
    answer = explained({})
    assert [row["name"] for row in answer["candidates"]] == [
        "a-plain-one-with-the-same-capacity",
        "certified",
    ]
    assert [row["scores"]["compliance"] for row in answer["candidates"]] == [100, 33.333]


def test_a_key_that_no_enabled_plugin_understands_is_said_not_ignored(explained):
    answer = explained({"compliance": ["hipaa"]}, config=None)
    assert (answer["decision"], answer["reason"]) == ("Wait", "UnknownRequirement")
    assert answer["message"] == "no enabled plugin understands requirements.compliance"


def test_its_arguments_are_refused_by_its_own_words_and_with_the_field(explained, tmp_path):
    file = tmp_path / "scheduler.yaml"
    file.write_text((EXAMPLE / "scheduler.yaml").read_text().replace("{HIPAA: hipaa}", "[HIPAA]"))
    error = explained({}, config=file)["error"]
    assert "profiles[0].plugins.enabled[0].args: plugin compliance refuses them: aliases must map" in error


def test_where_it_is_not_installed_the_configuration_says_so(explained, tmp_path):
    assert "no installed package offers a plugin compliance" in explained({}, path=tmp_path)["error"]

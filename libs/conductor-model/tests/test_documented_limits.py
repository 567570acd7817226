"""The objects that docs/limits-and-quotas.md shows are accepted as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from conductor_dev.api import KubeApi

DOCUMENT = Path(__file__).parents[3] / "docs/limits-and-quotas.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
MANIFESTS = [each for block in BLOCKS for each in yaml.safe_load_all(block) if "kind" in each]


def test_every_kind_of_limit_is_shown() -> None:
    kinds = {each["kind"] for each in MANIFESTS}
    assert kinds == {"ClaimLimitRange", "ClaimQuota", "ResourceClass", "ResourceQuota"}


@pytest.mark.integration
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_what_is_shown_is_accepted(api: KubeApi, namespace: str, manifest: dict[str, object]) -> None:
    (stored,) = api.apply([manifest], namespace=namespace)
    assert stored["metadata"]["name"]

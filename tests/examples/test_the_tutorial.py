"""docs/writing-a-provisioner.md shows the example as it is."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from conductor_dev.checkout import ROOT

TUTORIAL = ROOT / "docs" / "writing-a-provisioner.md"
BLOCK = re.compile(r'^```\w+ (title|excerpt)="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN_WHOLE = {
    "pyproject.toml",
    "chart/values.yaml",
    "manifests/class.yaml",
    "manifests/claim.yaml",
    "src/provisioner_filesystem/kinds.py",
    "src/provisioner_filesystem/driver.py",
    "src/provisioner_filesystem/__main__.py",
    "tests/test_conformance.py",
}


def test_the_tutorials_code_is_the_examples(example: Path) -> None:
    whole: defaultdict[str, list[str]] = defaultdict(list)
    for how, path, code in BLOCK.findall(TUTORIAL.read_text()):
        if how == "title":
            whole[path] += lines(code)
        else:
            assert code in (example / path).read_text(), f"{path} does not hold the excerpt"
    assert dict(whole) == {path: lines((example / path).read_text()) for path in SHOWN_WHOLE}


def lines(code: str) -> list[str]:
    """Those that are not empty: the formatter takes empty ones away where a file is cut into blocks."""
    return [line for line in code.splitlines() if line]


def test_every_module_of_the_example_is_in_the_tutorial(example: Path) -> None:
    modules = {str(file.relative_to(example)) for file in example.glob("src/*/*.py")}
    assert modules - {"src/provisioner_filesystem/__init__.py"} <= SHOWN_WHOLE

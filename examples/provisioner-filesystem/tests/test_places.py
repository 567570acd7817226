"""A name, which an annotation may say, is of a place in its volume."""

from pathlib import Path

import pytest

from conductor_provisioner import Owner, Resource, Terminal
from provisioner_filesystem.driver import Directories
from provisioner_filesystem.kinds import Spec, Status


@pytest.mark.parametrize("name", ["..", ".", ".other", "../slow", "/etc"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "fast").mkdir()
    owner = Owner("cluster", "uid", "team", "box")
    resource = Resource(external_name=name, owner=owner, spec=Spec(volume="fast"), status=Status())

    with pytest.raises(Terminal, match="holds no place"):
        Directories(tmp_path).look(resource)

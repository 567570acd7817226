"""A name, which an annotation may say, is of a place in its volume, and of no other there."""

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


def test_what_others_have_hidden_beside_it_is_neither_taken_nor_removed(tmp_path: Path) -> None:
    theirs = tmp_path / "fast" / ".git"
    theirs.mkdir(parents=True)
    owner = Owner("cluster", "uid", "team", "box")
    resource = Resource(external_name="git", owner=owner, spec=Spec(volume="fast"), status=Status())
    directories = Directories(tmp_path)

    assert not directories.look(resource).exists
    directories.make(resource)
    directories.remove(resource)

    assert theirs.is_dir()
    assert not list(theirs.iterdir())

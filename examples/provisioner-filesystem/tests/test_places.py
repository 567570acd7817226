"""A name, which an annotation may say, is of a place in its volume."""

from pathlib import Path

import pytest

from conductor_provisioner import Account, Owner, Resource, Terminal
from conductor_provisioner.testing import DirectCalls
from provisioner_filesystem.driver import DirectoryDriver
from provisioner_filesystem.kinds import FilesystemDirectorySpec, FilesystemDirectoryStatus


@pytest.mark.parametrize("name", ["..", ".", ".other", "../slow", "/etc"])
async def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "fast").mkdir()
    driver = DirectoryDriver(tmp_path, Account(name="ambient", calls=DirectCalls()))
    resource = Resource(
        external_name=name,
        owner=Owner("cluster", "uid", "team", "box"),
        spec=FilesystemDirectorySpec(volume="fast"),
        status=FilesystemDirectoryStatus(),
    )

    with pytest.raises(Terminal, match="holds no place"):
        await driver.observe(resource)

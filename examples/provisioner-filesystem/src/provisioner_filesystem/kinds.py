"""The kinds: Directory is what a developer claims, FilesystemDirectory is what an administrator offers."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from conductor_model.admission import immutable
from conductor_model.claims import Claim
from conductor_model.concrete import Concrete, ConcreteSpec, ConcreteStatus
from conductor_model.connection import ConnectionFormat, ConnectionKey
from conductor_model.kind import Column, claim_kind, concrete_kind, v1alpha1
from conductor_model.refs import GroupKind

DIRECTORY = v1alpha1("storage.example.org", "Directory", "directories")
FILESYSTEM_DIRECTORY = v1alpha1("filesystem.example.org", "FilesystemDirectory", "filesystemdirectories")

Mode = Annotated[str, StringConstraints(pattern="^0[0-7]{3}$")]
VolumeName = Annotated[str, StringConstraints(max_length=63, pattern="^[a-z0-9][a-z0-9-]*$")]


class Directory(Claim):
    """A claim for a directory to write to."""

    connection_format: ClassVar = ConnectionFormat(
        "directory",
        (ConnectionKey("path", "Where the directory is."),),
        lambda source: {"path": source.facts["path"]},
    )


class FilesystemDirectorySpec(ConcreteSpec):
    """The desired directory."""

    admission_rules = (immutable("volume"),)

    volume: VolumeName = Field(description="The volume to make it in: a folder under the provisioner's root.")
    mode: Mode = Field("0750", description="Who may do what with it, as chmod takes it.")


class FilesystemDirectoryStatus(ConcreteStatus):
    """The observed directory."""

    path: str | None = Field(None, description="Where it is.")


class FilesystemDirectory(Concrete):
    """A directory in a filesystem, which a claim can be bound to."""

    kind: Literal["FilesystemDirectory"] = "FilesystemDirectory"
    spec: FilesystemDirectorySpec
    status: FilesystemDirectoryStatus = Field(default_factory=FilesystemDirectoryStatus)

    provider: ClassVar[str] = "filesystem"

    @property
    def implements(self) -> frozenset[GroupKind]:
        return frozenset({DIRECTORY.group_kind})

    @property
    def connection_facts(self) -> Mapping[str, str]:
        return {"path": self.status.path} if self.status.path is not None else {}


KINDS = (
    claim_kind(DIRECTORY, Directory, "directory"),
    concrete_kind(
        FILESYSTEM_DIRECTORY, FilesystemDirectory, "fsdir", "filesystem", Column("Path", ".status.path")
    ),
)

"""The kinds: Directory is what a developer claims, FilesystemDirectory is what an administrator offers."""

from pydantic import Field

from conductor_model.admission import immutable
from conductor_model.concrete import ConcreteSpec, ConcreteStatus
from conductor_model.pair import Names, pair_of_kinds


class Spec(ConcreteSpec):
    """The desired directory."""

    admission_rules = (immutable("volume"),)

    volume: str = Field(max_length=63, pattern="^[a-z0-9][a-z0-9-]*$", description="A folder to make it in.")
    mode: str = Field(
        "0750", pattern="^0[0-7]{3}$", description="Who may do what with it, as chmod takes it."
    )


class Status(ConcreteStatus):
    """The observed directory."""

    path: str | None = Field(None, description="Where it is.")


KINDS = DIRECTORY, FILESYSTEM_DIRECTORY = pair_of_kinds(
    "filesystem",
    claim=Names("storage.example.org", "Directory", "directories", "dir", "A directory to write to."),
    concrete=Names(
        "filesystem.example.org", "FilesystemDirectory", "filesystemdirectories", "fsdir", "A folder."
    ),
    spec=Spec,
    status=Status,
    connection={"path": "Where the directory is."},
)

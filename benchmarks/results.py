"""Figures in files, as the commands write them and the documents are made from."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from benchmarks.machine import CHECKOUT

FOLDER = CHECKOUT / "benchmarks" / "results"
FiguresT = TypeVar("FiguresT", bound=BaseModel)


def write(file: Path, figures: BaseModel) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(figures.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read(file: Path, kind: type[FiguresT]) -> FiguresT:
    """Raises what pydantic raises for figures of another kind."""
    return kind.model_validate_json(file.read_bytes())

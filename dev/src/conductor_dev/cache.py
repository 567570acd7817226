"""The folder outside the checkout that keeps binaries, so that they are built or downloaded once per machine.

A product's folder appears by one rename when it is complete, and carries a marker that names each binary with its
size: a run that dies half-way leaves nothing that a later run would use. Preparing is done under a file lock, which
the kernel releases with its holder, so that two runs that start at once prepare once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from conductor_dev.progress import Progress
from conductor_dev.versions import Platform, Product

MARKER = "complete.json"


@dataclass(frozen=True)
class Cache:
    root: Path

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> Cache:
        """$CONDUCTOR_CACHE, else `conductor` in $XDG_CACHE_HOME, else in ~/.cache."""
        if named := environ.get("CONDUCTOR_CACHE"):
            return cls(Path(named).expanduser().absolute())
        base = environ.get("XDG_CACHE_HOME")
        return cls((Path(base) if base else Path.home() / ".cache") / "conductor")

    def folder_of(self, product: Product, platform: Platform) -> Path:
        return self.root / product.name / f"{product.version}-{platform}"

    def find(self, product: Product, platform: Platform) -> Path | None:
        """The product's folder, if it is complete."""
        folder = self.folder_of(product, platform)
        try:
            sizes = json.loads((folder / MARKER).read_bytes())
            complete = all((folder / name).stat().st_size == sizes[name] for name in product.binaries)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return folder if complete else None

    def prepare(
        self, product: Product, platform: Platform, fill: Callable[[Path], None], progress: Progress
    ) -> Path:
        """The product's folder; `fill` puts the binaries into the folder it is given, unless they are there already.

        Whatever `fill` raises comes through, and leaves nothing behind.
        """
        with self._locked(product.name, progress):
            if found := self.find(product, platform):
                return found
            folder = self.folder_of(product, platform)
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._remove_left_overs(folder.parent)
            with tempfile.TemporaryDirectory(prefix=".filling-", dir=folder.parent) as temporary:
                filling = Path(temporary) / "product"
                filling.mkdir()
                fill(filling)
                sizes = {name: (filling / name).stat().st_size for name in product.binaries}
                for name in product.binaries:
                    (filling / name).chmod(0o755)
                (filling / MARKER).write_text(json.dumps(sizes, indent=2))
                if folder.exists():
                    shutil.rmtree(folder)
                filling.rename(folder)
            return folder

    @staticmethod
    def _remove_left_overs(folder: Path) -> None:
        """What runs that died while filling left behind. Nobody fills now: we hold the lock of this product."""
        for left_over in folder.glob(".filling-*"):
            shutil.rmtree(left_over, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self, name: str, progress: Progress) -> Iterator[None]:
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with progress.step(f"waiting for another run that prepares {name}"):
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def last_duration(self, step: str) -> float | None:
        """Seconds that a step took when it last succeeded on this machine."""
        value = self._durations().get(step)
        return value if isinstance(value, float) else None

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Remembers how long the block took, if it succeeds."""
        began = time.monotonic()
        yield
        durations = self._durations() | {step: round(time.monotonic() - began, 1)}
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.root, delete=False) as file:
            json.dump(durations, file, indent=2)
        Path(file.name).replace(self.root / "durations.json")

    def _durations(self) -> dict[str, object]:
        try:
            durations = json.loads((self.root / "durations.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return durations if isinstance(durations, dict) else {}

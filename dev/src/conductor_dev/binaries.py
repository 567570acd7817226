"""Where the control plane's binaries, and helm, come from.

In this order: what the user has (KUBEBUILDER_ASSETS, PATH), our cache, the official release, a build with Go. Each way
that was tried and why it was not possible is told when none is. A cluster that the user names by KUBECONFIG, and k3s
in Docker, need no binaries: `conductor_dev.controlplane` decides about them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conductor_dev import gobuild, releases
from conductor_dev.cache import Cache
from conductor_dev.errors import BinariesUnavailable
from conductor_dev.progress import Progress
from conductor_dev.versions import CONTROL_PLANE, HELM_CLI, KUBECTL, Platform, Product


@dataclass(frozen=True)
class ControlPlaneBinaries:
    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    origin: str
    """Where they were found, for people."""

    def __str__(self) -> str:
        return self.origin

    @classmethod
    def in_folder(cls, folder: Path, origin: str) -> ControlPlaneBinaries:
        etcd, apiserver, controller_manager = (folder / name for name in CONTROL_PLANE.binaries)
        return cls(etcd, apiserver, controller_manager, origin)


@dataclass(frozen=True)
class Finder:
    """Looks binaries up with the given environment variables, cache and platform."""

    environ: Mapping[str, str]
    cache: Cache
    platform: Platform
    progress: Progress

    @classmethod
    def of(cls, environ: Mapping[str, str], progress: Progress) -> Finder:
        return cls(environ, Cache.of_user(environ), Platform.here(), progress)

    @classmethod
    def here(cls) -> Finder:
        """For this process."""
        return cls.of(os.environ, Progress())

    def control_plane(self) -> ControlPlaneBinaries:
        """Finds, downloads or builds. BinariesUnavailable with the whole story if no way leads there."""
        refused: list[str] = []
        for way in (self._from_assets, self._from_path):
            try:
                return way()
            except BinariesUnavailable as error:
                refused.append(str(error))
        try:
            folder = self.prepared(CONTROL_PLANE)
        except BinariesUnavailable as error:
            raise BinariesUnavailable("\n".join([*refused, str(error)])) from error
        return ControlPlaneBinaries.in_folder(folder, f"cache {folder}")

    def helm(self) -> Path:
        """The pinned helm: another version would render the charts differently."""
        return self.prepared(HELM_CLI) / "helm"

    def kubectl(self) -> Path:
        return self.prepared(KUBECTL) / "kubectl"

    def prepared(self, product: Product) -> Path:
        """The product's folder in the cache, downloaded or built if it is not there yet."""
        return self.cache.find(product, self.platform) or self.cache.prepare(
            product, self.platform, lambda folder: self._fill(product, folder), self.progress
        )

    def _from_assets(self) -> ControlPlaneBinaries:
        assets = self.environ.get("KUBEBUILDER_ASSETS")
        if not assets:
            raise BinariesUnavailable("KUBEBUILDER_ASSETS is not set")
        folder = Path(assets)
        if absent := [name for name in CONTROL_PLANE.binaries if not os.access(folder / name, os.X_OK)]:
            raise BinariesUnavailable(f"KUBEBUILDER_ASSETS={assets}: {_not_there(absent)}")
        return ControlPlaneBinaries.in_folder(folder, f"KUBEBUILDER_ASSETS={assets}")

    def _from_path(self) -> ControlPlaneBinaries:
        found = {
            name: shutil.which(name, path=self.environ.get("PATH", "")) for name in CONTROL_PLANE.binaries
        }
        etcd, apiserver, controller_manager = found.values()
        if etcd and apiserver and controller_manager:
            return ControlPlaneBinaries(Path(etcd), Path(apiserver), Path(controller_manager), "PATH")
        raise BinariesUnavailable(f"PATH: {_not_there([name for name, path in found.items() if not path])}")

    def _fill(self, product: Product, folder: Path) -> None:
        refused: list[str] = []
        try:
            releases.download(product, self.platform, folder, environ=self.environ, progress=self.progress)
        except BinariesUnavailable as error:
            refused.append(f"official release: {error}")
            self.progress.say(refused[-1])
        else:
            return
        try:
            gobuild.build(product, folder, environ=self.environ, cache=self.cache, progress=self.progress)
        except BinariesUnavailable as error:
            refused.append(f"build with Go: {error}")
            raise BinariesUnavailable("\n".join(refused)) from error


def _not_there(names: list[str]) -> str:
    why = (
        " (without it nothing is garbage collected and no namespace goes away)"
        if names == ["kube-controller-manager"]
        else ""
    )
    return f"no {', '.join(names)}{why}"

"""The cache: complete or absent, prepared once, whatever dies."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from conductor_dev.cache import MARKER, Cache
from conductor_dev.progress import Progress
from conductor_dev.versions import Platform, Product

PLATFORM = Platform("linux", "amd64")
PRODUCT = Product("tool", "v1", ("first", "second"))
QUIET = Progress(io.StringIO())


def fill(folder: Path) -> None:
    for name in PRODUCT.binaries:
        (folder / name).write_text(f"binary {name}")


def must_not_fill(_: Path) -> None:
    raise AssertionError("it was there already")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_what_was_prepared_is_found_and_not_prepared_again(cache: Cache) -> None:
    folder = cache.prepare(PRODUCT, PLATFORM, fill, QUIET)
    assert cache.find(PRODUCT, PLATFORM) == folder
    assert cache.prepare(PRODUCT, PLATFORM, must_not_fill, QUIET) == folder
    assert (folder / "first").stat().st_mode & 0o111


def test_another_version_and_another_platform_are_other_entries(cache: Cache) -> None:
    cache.prepare(PRODUCT, PLATFORM, fill, QUIET)
    assert cache.find(Product("tool", "v2", PRODUCT.binaries), PLATFORM) is None
    assert cache.find(PRODUCT, Platform("linux", "arm64")) is None


def test_a_preparation_that_fails_leaves_nothing(cache: Cache) -> None:
    def fail(folder: Path) -> None:
        (folder / "first").write_text("half")
        raise RuntimeError("no more disk")

    with pytest.raises(RuntimeError, match="no more disk"):
        cache.prepare(PRODUCT, PLATFORM, fail, QUIET)
    assert cache.find(PRODUCT, PLATFORM) is None
    assert list((cache.root / "tool").iterdir()) == []


def test_what_a_killed_preparation_left_is_not_used_and_goes_away(cache: Cache) -> None:
    left_over = cache.root / "tool" / ".filling-x" / "product"
    left_over.mkdir(parents=True)
    (left_over / "first").write_text("half")
    assert cache.find(PRODUCT, PLATFORM) is None
    folder = cache.prepare(PRODUCT, PLATFORM, fill, QUIET)
    assert [entry.name for entry in (cache.root / "tool").iterdir()] == [folder.name]


def test_a_folder_without_a_marker_is_prepared_anew(cache: Cache) -> None:
    folder = cache.folder_of(PRODUCT, PLATFORM)
    folder.mkdir(parents=True)
    fill(folder)
    assert cache.find(PRODUCT, PLATFORM) is None
    cache.prepare(PRODUCT, PLATFORM, fill, QUIET)
    assert cache.find(PRODUCT, PLATFORM) == folder


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"first": 12, "second": 1}', '{"first": "12"}'])
def test_a_marker_that_does_not_fit_is_not_believed(cache: Cache, content: str) -> None:
    folder = cache.prepare(PRODUCT, PLATFORM, fill, QUIET)
    (folder / MARKER).write_text(content)
    assert cache.find(PRODUCT, PLATFORM) is None


def test_a_truncated_binary_is_not_used(cache: Cache) -> None:
    folder = cache.prepare(PRODUCT, PLATFORM, fill, QUIET)
    (folder / "second").write_text("bin")
    assert cache.find(PRODUCT, PLATFORM) is None


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    named = {"CONDUCTOR_CACHE": str(tmp_path / "mine"), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    assert Cache.of_user(named).root == tmp_path / "mine"
    assert Cache.of_user({"XDG_CACHE_HOME": str(tmp_path / "xdg")}).root == tmp_path / "xdg" / "conductor"
    assert Cache.of_user({}).root == tmp_path / "home" / ".cache" / "conductor"


def test_only_a_step_that_succeeded_leaves_its_duration(cache: Cache) -> None:
    with pytest.raises(RuntimeError), cache.timed("failing"):
        raise RuntimeError
    with cache.timed("succeeding"):
        pass
    assert cache.last_duration("failing") is None
    assert cache.last_duration("succeeding") is not None


def test_an_unreadable_record_of_durations_is_no_obstacle(cache: Cache) -> None:
    cache.root.mkdir()
    (cache.root / "durations.json").write_text("half a rec")
    assert cache.last_duration("a step") is None
    with cache.timed("a step"):
        pass
    assert cache.last_duration("a step") is not None

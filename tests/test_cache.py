import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pbg_env.cache import cached, store


def test_what_was_stored_comes_back_under_its_own_parts_only(cache_folder: Path) -> None:
    store(np.arange(3.0), "weights", b"target")
    np.testing.assert_array_equal(cached("weights", b"target"), np.arange(3.0))
    assert cached("weight", b"starget") is None
    assert cached("weights", b"other") is None


def test_a_damaged_file_counts_as_none(cache_folder: Path) -> None:
    store(np.arange(3.0), "weights")
    (file,) = cache_folder.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    assert cached("weights") is None


def test_what_is_shipped_is_looked_at_first(
    cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(np.arange(3.0), "weights")
    assert cached("nothing", shipped=tmp_path) is None
    np.testing.assert_array_equal(cached("weights", shipped=tmp_path), np.arange(3.0))
    with monkeypatch.context() as patched:
        patched.setenv("PBG_CACHE", str(tmp_path))
        store(np.arange(4.0), "weights")
    np.testing.assert_array_equal(cached("weights", shipped=tmp_path), np.arange(4.0))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    np.testing.assert_array_equal(cached("weights", shipped=tmp_path), np.arange(3.0))


def test_an_unwritable_cache_is_said_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PBG_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="set PBG_CACHE to another folder"):
        store(np.arange(3.0), "weights")
    assert cached("weights") is None


def test_threads_may_store_the_same_at_once(cache_folder: Path) -> None:
    values = np.arange(200_000.0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store(values, "weights"), range(64)))
    np.testing.assert_array_equal(cached("weights"), values)
    assert len(list(cache_folder.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_shared_cache_can_be_read_by_others(cache_folder: Path) -> None:
    store(np.arange(3.0), "weights")
    (file,) = cache_folder.iterdir()
    mask = os.umask(0)
    os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~mask

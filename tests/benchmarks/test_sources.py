"""What code a search runs: all that it reaches, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from benchmarks import sources as sources_module
from benchmarks.sources import named_files, sources


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A strategy whose module imports, as modules do, one thing at the top and one where it is needed."""
    # A name of its own: Python keeps what it has imported once.
    folder = tmp_path / f"own_{uuid4().hex}"
    (folder / "starts").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "strategy.py").write_text(
        f"from .helper import *\n\ndef late():\n    import numpy\n    from {folder.name} import later\n"
    )
    for name in ("helper.py", "later.py", "other.py", "starts/start.safetensors", "notes.md"):
        (folder / name).write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def seen(package: Path) -> str:
    """As a process sees it that begins now."""
    for function in (sources_module._seen_hash, sources_module._reached, sources_module._module_file):
        function.cache_clear()
    return sources({"class_path": f"{package.name}.strategy.Strategy"})


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("strategy.py", True),
        ("helper.py", True),
        ("later.py", True),
        ("__init__.py", True),
        ("starts/start.safetensors", True),
        ("other.py", False),
        ("notes.md", False),
    ],
)
def test_what_is_imported_and_the_weights_beside_it_count(name: str, counts: bool, package: Path) -> None:
    before = seen(package)
    (package / name).write_text("changed = 1")
    assert (seen(package) != before) == counts


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("noise.py", True),
        ("envs/searches.py", True),
        ("assets/avatars_generator.safetensors", True),
        ("generators/stackgan_v2/training/trainer.py", False),
        ("web/server.py", False),
        ("conformance.py", False),
    ],
)
def test_the_environment_counts_but_for_what_no_simulated_search_runs(
    name: str, counts: bool, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(package)
    copy = tmp_path / "pbg_env"
    shutil.copytree(sources_module._PACKAGE, copy)
    monkeypatch.setattr(sources_module, "_PACKAGE", copy)
    assert seen(package) == before
    assert (copy / name).is_file()
    (copy / name).write_text("")
    assert (seen(package) != before) == counts


def test_another_strategy_is_no_other_code() -> None:
    reached = set(sources_module._reached("agents.random_search"))
    assert {"agents", "agents.random_search", "agents.base"} <= reached
    assert not {"agents.evolution", "agents.reference.agent"} & reached
    assert "agents.reference.memory" in sources_module._reached("agents.reference.agent")
    assert not any(sources_module._reached(name) for name in ("torch.nn", "json", "no.such", "pbg_env.noise"))


def test_files_and_folders_that_settings_name_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("1")
    settings = {"similarity": f"vit:{tmp_path / 'model'}", "other": [{"deep": str(tmp_path / "model" / "weights")}]}
    before = named_files(settings)
    assert set(before) == {str(tmp_path / "model"), str(tmp_path / "model" / "weights")}
    (tmp_path / "model" / "weights").write_text("2")
    assert not set(before.values()) & set(named_files(settings).values())

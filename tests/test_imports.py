"""Who may know whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def imports(folder: str) -> Iterator[tuple[Path, str]]:
    """Every imported name below a folder, `from a import b` as a.b."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((path, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("pbg_env", ("agents", "benchmarks", "tests", "stable_baselines3", "botorch", "starlette", "ray")),
        ("agents", ("benchmarks", "tests", "pbg_env.oracles", "pbg_env.TargetOracle", "pbg_env.similarity")),
    ],
)
def test_imports_point_one_way(folder: str, forbidden: tuple[str, ...]) -> None:
    found = list(imports(folder))
    assert found
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, name in found
        for root in forbidden
        if name == root or name.startswith(root + ".")
        # The page's server alone needs them, and it alone is imported only when a page is wanted.
        if not (root == "starlette" and path == ROOT / "pbg_env" / "web" / "server.py")
    ]
    assert wrong == []


def test_agents_use_only_public_names_of_pbg_env() -> None:
    import pbg_env

    used = {name.removeprefix("pbg_env.") for _, name in imports("agents") if name.startswith("pbg_env.")}
    assert used
    assert used <= set(pbg_env.__all__)


def test_only_the_loop_looks_at_score_and_target() -> None:
    looking = {"evaluate", "render", "target", "utility"}
    # Stable-Baselines3 asks its environments for pictures, to make videos of.
    allowed = {"run.py": looking, "sb3.py": {"render"}}
    for path in sorted((ROOT / "agents").rglob("*.py")):
        attributes = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert attributes & looking <= allowed.get(path.name, set()), path


def test_package_imports_without_extras() -> None:
    code = """
import sys
absent = "stable_baselines3 botorch starlette uvicorn pyarrow ray scipy torchmetrics transformers"
for name in absent.split():
    sys.modules[name] = None
import gymnasium, pbg_env
assert {"PBG-StackGANv2-v0", "PBG-StackGANv2-Pairs-v0", "PBG-Tones-v0"} <= set(gymnasium.registry)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

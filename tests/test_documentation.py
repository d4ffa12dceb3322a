"""The code in the documentation runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from agents.reference.__main__ import parser

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for number, code in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)):
            found.append((f"{page.name}-{number}", code))
    return found


@pytest.mark.parametrize("code", [code for _, code in blocks("python")], ids=[name for name, _ in blocks("python")])
def test_python_runs(code: str) -> None:
    exec(compile(code, "documentation", "exec", dont_inherit=True), {"__name__": "documentation"})


def test_commands_of_the_agent_are_understood() -> None:
    commands = [
        shlex.split(line)
        for _, code in blocks("bash")
        for line in code.replace("\\\n", " ").splitlines()
        if "agents.reference " in line
    ]
    assert commands
    for command in commands:
        parser().parse_args(command[command.index("agents.reference") + 1 :])


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_configurations_name_existing_classes() -> None:
    for path in sorted((ROOT / "configs" / "agents").glob("*.yaml")):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))
        line = parser()
        assert line.instantiate(line.parse_args(["--config", str(path)])).agent

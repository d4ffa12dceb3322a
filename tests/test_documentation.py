"""The code in the documentation runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from agents.command import with_configuration
from agents.particles import ParticleAgent
from agents.particles.__main__ import parser as particles_parser
from agents.posterior.__main__ import parser as posterior_parser
from agents.posterior.agent import PosteriorAgent
from agents.reference.__main__ import parser as reference_parser
from agents.reference.agent import ReferenceAgent

AGENTS = {
    "agents.particles": ParticleAgent,
    "agents.posterior": PosteriorAgent,
    "agents.reference": ReferenceAgent,
}
PARSERS = {
    "agents.particles": particles_parser,
    "agents.posterior": posterior_parser,
    "agents.reference": reference_parser,
}
_OWN = {"human": "agents.particles", "particles": "agents.particles", "posterior": "agents.posterior"}

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for number, code in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)):
            found.append((f"{page.name}-{number}", code))
    return found


@pytest.mark.parametrize("code", [code for _, code in blocks("python")], ids=[name for name, _ in blocks("python")])
def test_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What they write is for a folder of the reader's.
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "documentation", "exec", dont_inherit=True), {"__name__": "documentation"})


@pytest.mark.parametrize("program", PARSERS)
def test_commands_of_the_agents_are_understood(program: str) -> None:
    commands = [
        shlex.split(line)
        for _, code in blocks("bash")
        for line in code.replace("\\\n", " ").splitlines()
        if f"{program} " in line
    ]
    assert commands
    for command in commands:
        told = with_configuration(AGENTS[program], command[command.index(program) + 1 :])
        PARSERS[program]().parse_args(told)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_configurations_name_existing_classes() -> None:
    for path in sorted((ROOT / "configs" / "agents").glob("*.yaml")):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))
        line = PARSERS[_OWN.get(path.stem, "agents.reference")]()
        assert line.instantiate(line.parse_args(["--config", str(path)])).agent

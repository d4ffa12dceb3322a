"""Policies learned on simulated users."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.learners import ALGORITHMS, SB3
from agents.pretrain import Plan, main, pretrain
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.test_learners import searched

TINY: dict[str, dict[str, Any]] = {
    "PPO": {"n_steps": 10, "batch_size": 20, "n_epochs": 2},
    "SAC": {"learning_starts": 20, "batch_size": 16, "buffer_size": 200, "gradient_steps": 2},
}


@pytest.fixture
def plan(checkpoint: Callable[..., Path]) -> Callable[..., Plan]:
    path = str(checkpoint())

    def make(algorithm: Any, **told: Any) -> Plan:
        plan = Plan(algorithm, path, answers=130, searches=4, max_queries=10, settings=TINY[algorithm], seed=5)
        return replace(plan, **told)

    return make


def weights(path: Path, algorithm: str) -> list[torch.Tensor]:
    return list(ALGORITHMS[algorithm].load(path, device="cpu").policy.state_dict().values())


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("algorithm", TINY)
def test_it_goes_on_after_a_kill_to_the_same_policy(
    algorithm: str,
    plan: Callable[..., Plan],
    generator: StackGANGenerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, broken, other = (tmp_path / name / "policy.zip" for name in ("whole", "broken", "other"))
    pretrain(plan(algorithm), whole)
    learn: Any = ALGORITHMS[algorithm].learn
    begun: list[int] = []

    def killed_once(model: BaseAlgorithm, *arguments: Any, **options: Any) -> Any:
        begun.append(model.num_timesteps)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return learn(model, *arguments, **options)

    monkeypatch.setattr(ALGORITHMS[algorithm], "learn", killed_once)
    with pytest.raises(KeyboardInterrupt):
        pretrain(plan(algorithm), broken)
    assert not broken.exists()
    with pytest.raises(ValueError, match="of another pretraining, which differs in teachers, seed"):
        pretrain(plan(algorithm, seed=6, teachers=["oracle"]), broken)
    pretrain(plan(algorithm), broken)
    assert begun == [0, 40, 80, 80, 120]
    assert same(weights(whole, algorithm), weights(broken, algorithm))
    pretrain(plan(algorithm, seed=6), other)
    assert not same(weights(whole, algorithm), weights(other, algorithm))
    assert sorted(path.name for path in whole.parent.iterdir()) == ["policy.json", "policy.zip"]
    # And a search can begin from it.
    learner: Any = algorithm
    assert len(searched(SB3(learner, start=str(whole)), generator, answers=15).actions) == 15


def test_it_says_whom_it_has_met(plan: Callable[..., Plan], tmp_path: Path) -> None:
    told = plan("PPO", teachers=["oracle", "noisy", "human"])
    pretrain(told, tmp_path / "policy.zip")
    card = json.loads((tmp_path / "policy.json").read_text())
    assert card["teachers"] == ["oracle", "noisy", "human"]
    assert card["similarity"] == "pixels"
    # Whole generations of 4 searches with 10 answers each.
    assert card["answers"] == 160
    assert card["seconds"] >= 0
    assert card["users"].startswith("16 users with 10 answers each, of the teachers oracle, noisy, human in turn")


def test_teachers_take_turns_and_targets_are_fresh(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    set_env = PPO.set_env

    def watched(model: PPO, env: Any, force_reset: bool = True) -> None:
        set_env(model, env, force_reset)
        env.reset()
        envs = env.venv.env
        seen.append((envs.spec.kwargs["teacher"], torch.stack(envs.targets)))

    monkeypatch.setattr(PPO, "set_env", watched)
    pretrain(plan("PPO"), tmp_path / "policy.zip")
    assert [teacher for teacher, _ in seen] == ["oracle", "noisy", "oracle", "noisy"]
    targets = torch.cat([targets for _, targets in seen]).flatten(1).numpy()
    assert len(np.unique(targets, axis=0)) == 16


def test_the_command(
    plan: Callable[..., Plan], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = plan("PPO").generator, tmp_path / "policy.zip"
    few = ["--answers", "40", "--searches", "4", "--max_queries", "10", "--settings.n_steps", "10"]
    main(["--generator", source, "--out", str(out), "--teachers", "[mistaken]", "--settings.batch_size", "20", *few])
    printed = capsys.readouterr()
    assert "4 users with 10 answers each, of the teachers mistaken in turn, who go by pixels" in printed.out
    assert f"{out} after 40 answers in" in printed.out
    assert "40 answers, the last of mistaken: the incumbent gave way" in printed.err
    assert out.is_file()
    with pytest.raises(SystemExit, match=r"error: out is policy, expected a \.zip file"):
        main(["--generator", source, "--out", "policy"])
    with pytest.raises(SystemExit, match="error: max_queries is 30, expected a multiple of n_steps, 100"):
        main(["--out", str(out), "--max_queries", "30"])
    with pytest.raises(SystemExit, match="error: unknown settings n_steppes of PPO"):
        main(["--out", str(out), "--settings.n_steppes", "3"])
    with pytest.raises(SystemExit, match="error: teachers is empty"):
        main(["--out", str(out), "--teachers", "[]"])

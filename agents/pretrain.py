"""`python -m agents.pretrain`: learns a policy on many simulated users, from which `agents.learners.SB3` can begin.

Users come in generations, as many as there are searches side by side. Each wants a picture of their own that the
generator can make, drawn from the prior, and gives `max_queries` answers; the kinds of teachers take turns. After each
generation all is saved: the same command goes on after a kill, to the same policy.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import jsonargparse
import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from tqdm import tqdm

from agents.files import write
from agents.learners import ALGORITHMS, check_settings, global_randomness, made, silent
from agents.sb3 import PreferenceVecEnv

ENV_ID = "pbg_env:PBG-StackGANv2-v0"

_NETWORK = {"net_arch": [128, 128]}
SETTINGS: dict[str, dict[str, Any]] = {
    # Rollouts of whole searches: most successes come early, and parts without any would teach noise.
    "PPO": {"n_steps": 100, "batch_size": 320, "n_epochs": 10, "policy_kwargs": _NETWORK | {"log_std_init": -2.0}},
    "SAC": {"learning_rate": 3e-4, "gradient_steps": 4, "learning_starts": 2000, "buffer_size": 50_000}
    | {"batch_size": 256, "ent_coef": 0.005, "policy_kwargs": _NETWORK},
}
"""What differs from `agents.learners.DEFAULTS` where answers are plenty."""


@dataclass(frozen=True)
class Plan:
    """What a policy is learned on. The same plan gives the same policy.

    Args:
        algorithm: "PPO" or "SAC".
        generator: as the environments describe it.
        teachers: names of kinds of users, who take turns: "oracle" is exact, "noisy" errs where it hardly matters, …
        similarity: what they go by; null for what their medium's users go by unless told.
        answers: in all, at least; generations are not cut short.
        searches: side by side, users of a generation.
        max_queries: answers in each search.
        settings: of the algorithm, beside `SETTINGS`.
        seed: of everything random.

    Raises:
        ValueError: no teachers, an unknown setting, or rollouts of PPO that do not fit into a search.
    """

    algorithm: Literal["PPO", "SAC"] = "PPO"
    generator: str = "avatars"
    teachers: list[str] = field(default_factory=lambda: ["oracle", "noisy"])
    similarity: str | None = "pixels"
    answers: PositiveInt = 200_000
    searches: PositiveInt = 32
    max_queries: PositiveInt = 100
    settings: dict[str, Any] = field(default_factory=dict)
    seed: NonNegativeInt = 0

    def __post_init__(self) -> None:
        if not self.teachers:
            raise ValueError("teachers is empty, expected at least one, such as [oracle]")
        check_settings(self.algorithm, self.settings)
        steps = self.all_settings.get("n_steps", 1)
        if self.algorithm == "PPO" and self.max_queries % steps:
            raise ValueError(f"max_queries is {self.max_queries}, expected a multiple of n_steps, {steps}")

    @property
    def all_settings(self) -> dict[str, Any]:
        """Those told and those that are not, but for `agents.learners.DEFAULTS`."""
        own = SETTINGS[self.algorithm]
        policy = own["policy_kwargs"] | self.settings.get("policy_kwargs", {})
        return own | self.settings | {"policy_kwargs": policy, "stats_window_size": self.searches}

    @property
    def generations(self) -> int:
        return math.ceil(self.answers / self.answers_of_generation)

    @property
    def answers_of_generation(self) -> int:
        return self.searches * self.max_queries

    @property
    def users(self) -> str:
        """Who they are, in words."""
        return (
            f"{self.generations * self.searches} users with {self.max_queries} answers each, of the teachers "
            f"{', '.join(self.teachers)} in turn, who go by {self.similarity or 'what is usual for the medium'} and "
            f"want targets from the prior of {self.generator}"
        )


def pretrain(plan: Plan, out: Path) -> float:
    """Learns a policy and saves it; what it has learned on is told in a `.json` file beside it.

    Args:
        plan: what to learn on.
        out: a `.zip` file. As long as it is not complete, a folder `.checkpoint` beside it holds what goes on.

    Returns:
        The seconds it took, those before an interruption among them.

    Raises:
        ValueError: no `.zip` file, or what there is to go on with is of another plan.
    """
    if out.suffix != ".zip":
        raise ValueError(f"out is {out}, expected a .zip file")
    out.parent.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(out.with_suffix(".checkpoint"), plan)
    envs = [searches(plan, teacher) for teacher in plan.teachers]
    with global_randomness(plan.seed):
        model = silent(made(plan.algorithm, envs[0], plan.all_settings))
    done, seconds, model = checkpoints.last(model, envs[0])
    begun = time.monotonic() - seconds
    answers = plan.answers_of_generation
    with tqdm(total=plan.generations * answers, initial=done * answers, unit="answer", desc=plan.algorithm) as progress:
        for generation in range(done, plan.generations):
            teach(model, envs[generation % len(envs)], plan, generation, progress)
            changes = np.mean([search["r"] for search in list(model.ep_info_buffer or ())[-plan.searches :]])
            teacher = plan.teachers[generation % len(envs)]
            progress.write(
                f"{model.num_timesteps} answers, the last of {teacher}: the incumbent gave way {changes:.1f} times a "
                f"search",
                file=sys.stderr,
            )
            checkpoints.save(model, generation + 1, time.monotonic() - begun)
    seconds = time.monotonic() - begun
    unfinished = out.with_name(f".{out.stem}.{os.getpid()}.zip")
    model.save(unfinished)
    card = asdict(plan) | {"users": plan.users, "answers": model.num_timesteps, "seconds": round(seconds)}
    write(out.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
    unfinished.replace(out)
    checkpoints.remove()
    for env in envs:
        env.close()
    return seconds


def searches(plan: Plan, teacher: str) -> VecEnv:
    """The searches of a generation, whose users never end them early."""
    arguments: dict[str, Any] = {"generator": plan.generator, "similarity": plan.similarity, "teacher": teacher}
    envs: Any = gym.make_vec(
        ENV_ID,
        num_envs=plan.searches,
        vectorization_mode="vector_entry_point",
        autoreset_mode="SameStep",
        action="unit",
        goal=None,
        max_queries=plan.max_queries,
        **arguments,
    )
    return VecMonitor(PreferenceVecEnv(envs))


def teach(model: BaseAlgorithm, env: VecEnv, plan: Plan, generation: int, progress: tqdm[Any]) -> None:
    """Lets a model learn from one generation, to the same end whatever this process did before."""
    # Words apart from those that the model was made with, as its seed alone is no pair.
    of_env, of_actions, of_learning = np.random.SeedSequence((plan.seed, generation + 1)).generate_state(3)
    env.seed(int(of_env))
    # Begins all searches anew.
    model.set_env(env)
    model.action_space.seed(int(of_actions))
    with global_randomness(int(of_learning)):
        model.learn(plan.answers_of_generation, _Progress(progress), reset_num_timesteps=False)


class Checkpoints:
    """What a pretraining goes on from, a folder for each generation until the next is there.

    Args:
        folder: of the folders.
        plan: which all of them must be of.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = asdict(plan)

    def save(self, model: BaseAlgorithm, generation: int, seconds: float) -> None:
        """Saves a model after so many generations and seconds."""
        self._folder.mkdir(exist_ok=True)
        unfinished, folder = self._folder / "unfinished", self._folder / f"{generation:06}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        model.save(unfinished / "model.zip")
        if isinstance(model, OffPolicyAlgorithm):
            model.save_replay_buffer(unfinished / "experience.pkl")
        state = {"plan": self._plan, "generation": generation, "seconds": seconds}
        (unfinished / "state.json").write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(folder)
        for older in self._saved()[:-1]:
            shutil.rmtree(older)

    def last(self, model: BaseAlgorithm, env: VecEnv) -> tuple[int, float, BaseAlgorithm]:
        """The last generation saved, the seconds up to then and its model; or 0, 0.0 and the given one.

        Raises:
            ValueError: it is of another plan.
        """
        saved = self._saved()
        if not saved:
            return 0, 0.0, model
        state = json.loads((saved[-1] / "state.json").read_text(encoding="utf-8"))
        differing = [name for name, value in self._plan.items() if state["plan"].get(name) != value]
        if differing:
            raise ValueError(
                f"{self._folder} is of another pretraining, which differs in {', '.join(differing)}; repeat its "
                f"arguments, remove the folder, or name another --out"
            )
        model = silent(ALGORITHMS[self._plan["algorithm"]].load(saved[-1] / "model.zip", env, device="cpu"))
        if isinstance(model, OffPolicyAlgorithm):
            model.load_replay_buffer(saved[-1] / "experience.pkl")
        return state["generation"], state["seconds"], model

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _saved(self) -> list[Path]:
        return sorted(folder for folder in self._folder.glob("*") if folder.name.isdecimal())


class _Progress(BaseCallback):
    """Shows answers in a progress bar."""

    def __init__(self, bar: tqdm[Any]) -> None:
        super().__init__()
        self._bar = bar

    def _on_step(self) -> bool:
        self._bar.update(self.training_env.num_envs)
        return True


def main(arguments: list[str] | None = None) -> None:
    line = jsonargparse.ArgumentParser(prog="python -m agents.pretrain", description=str(__doc__).partition("\n\n")[2])
    line.add_class_arguments(Plan)
    line.add_argument("--out", type=Path, required=True, help="a .zip file for the policy")
    config = line.parse_args(arguments).as_dict()
    out = config.pop("out")
    try:
        plan = Plan(**config)
        print(plan.users)
        seconds = pretrain(plan, out)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{out} after {plan.generations * plan.answers_of_generation} answers in {seconds:.0f} s")


if __name__ == "__main__":
    main()

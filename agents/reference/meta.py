"""`python -m agents.reference.meta`: learns where a reward model should begin, on simulated users of a generator.

Each task is a user: a target that the generator made, a similarity by distance among principal components, a teacher,
and pairs of noise from the prior and from around the target. From the start, a few steps of gradient descent on some
answers foresee other answers best (MAML, Finn et al. 2017, algorithm 2; the lengths of the steps are learned, too).
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jsonargparse
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from agents.reference.reward.features import PrincipalComponents
from agents.reference.reward.meta_learned import STARTS, Start, adapt, pair_rewards
from agents.reference.reward.perceptrons import Perceptrons, bradley_terry_loss
from pbg_env import EMBEDDED, TEACHERS, Generator, Preference, clip_noise, load_generator, sample_noise

_BATCH = 64
_SUPPORT = (5, 120)
_QUERY = 120
_TEACHERS = ("oracle", "oracle", "noisy", "mistaken", "hesitant")


class Media(NamedTuple):
    """Noise of many media and what they are like, in families around a target each."""

    noise: NDArray[np.float32]
    """(families, members, noise_dim); the first of each family is its target."""
    features: NDArray[np.float32]
    """(families, members, components)."""


def make_media(generator: Generator, families: int, members: int, components: int, rng: np.random.Generator) -> Media:
    """Targets from the prior, and for each media that are mixtures of it and the prior, from near to unrelated."""
    targets = sample_noise((families, 1, generator.noise_dim), rng)
    spread = rng.uniform(0.2, 1.0, (families, members - 1, 1))
    others = sample_noise((families, members - 1, generator.noise_dim), rng)
    around = np.sqrt(1 - spread**2) * targets + spread * others
    noise = clip_noise(np.concatenate((targets, around), axis=1))
    principal = PrincipalComponents.of(generator, components)
    flat = torch.from_numpy(noise).flatten(0, 1)
    with torch.no_grad():
        parts = [
            principal.of_noise(part.to(generator.device)).cpu()
            for part in tqdm(flat.split(_BATCH), desc="media", leave=False)
        ]
    return Media(noise, torch.cat(parts).reshape(families, members, -1).numpy())


class Tasks(NamedTuple):
    """Pairs of several users: those that are adapted to, and those that are then foreseen."""

    support: Tensor
    """(tasks, pairs, 2, noise_dim)."""
    support_labels: Tensor
    """(tasks, pairs, 2)."""
    query: Tensor
    query_labels: Tensor


def draw_tasks(media: Media, count: int, support: int, rng: np.random.Generator) -> Tasks:
    """Users who strive for the targets of random families."""
    families, members = media.noise.shape[:2]
    pairs = support + _QUERY
    of_task = rng.integers(families, size=(count, 1, 1))
    # Half of what is shown lies around the user's target, half anywhere.
    anywhere = rng.integers(families, size=(count, pairs, 2))
    family = np.where(rng.random((count, pairs, 2)) < 0.5, of_task, anywhere)
    member = rng.integers(1, members, size=(count, pairs, 2))
    noise = media.noise[family, member]  # (tasks, pairs, 2, Z)
    target = media.features[of_task[:, 0, 0], 0][:, None, None]
    utility = -np.sqrt(np.square(media.features[family, member] - target).sum(axis=-1))  # (tasks, pairs, 2)
    # In the units of the teachers, an average random medium's being 0 and their deviation 1.
    far = np.sqrt(np.square(media.features[:256, -1][None] - target[:, 0]).sum(axis=-1))
    standard = (utility + far.mean(axis=1)[:, None, None]) / far.std(axis=1)[:, None, None]
    labels = np.zeros((count, pairs, 2), dtype=np.float32)
    for task in range(count):
        teacher = TEACHERS[_TEACHERS[rng.integers(len(_TEACHERS))]].with_numbers(standard[task].ravel()[:400])
        answers = teacher.answer(standard[task, :, 0], standard[task, :, 1], rng)
        labels[task] = _LABELS[answers]
        exact = standard[task, support:]
        labels[task, support:] = np.stack((exact[:, 0] > exact[:, 1], exact[:, 0] <= exact[:, 1]), axis=1)
    at, to = torch.from_numpy(noise), torch.from_numpy(labels)
    return Tasks(at[:, :support], to[:, :support], at[:, support:], to[:, support:])


_LABELS = np.array([preference.label for preference in Preference], dtype=np.float32)


def foresight(start: Start, tasks: Tasks) -> tuple[Tensor, float]:
    """Loss and accuracy on the query pairs after adapting to the support pairs."""
    adapted = adapt(start, tasks.support, tasks.support_labels, differentiable=True)
    rewards = pair_rewards(adapted, tasks.query)
    right = (rewards[..., 0] > rewards[..., 1]) == (tasks.query_labels[..., 0] > 0.5)
    return bradley_terry_loss(rewards, tasks.query_labels), float(right.float().mean())


def learn(
    generator: Generator,
    *,
    families: int = 1200,
    members: int = 40,
    components: int = 128,
    width: int = 128,
    layers: int = 3,
    adaptation_steps: int = 10,
    tasks: int = 8,
    steps: int = 5000,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Start:
    """Learns a start.

    Args:
        generator: whose users are simulated.
        families: targets.
        members: media around each.
        components: principal components that the simulated users go by.
        width: of the perceptron's hidden layers.
        layers: hidden layers.
        adaptation_steps: of gradient descent for each user.
        tasks: users in a step.
        steps: of learning.
        learning_rate: of Adam, annealed along half a cosine.
        seed: of everything random.

    Raises:
        ValueError: a number out of range.
    """
    numbers = {"members": (members, 2), "families": (families, 10), "components": (components, 1), "width": (width, 1)}
    numbers |= {
        "layers": (layers, 1),
        "adaptation_steps": (adaptation_steps, 1),
        "tasks": (tasks, 1),
        "steps": (steps, 1),
    }
    for name, (number, least) in numbers.items():
        if number < least:
            raise ValueError(f"{name} is {number}, expected at least {least}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate is {learning_rate}, expected above 0")
    rng = np.random.default_rng(seed)
    media = make_media(generator, families, members, components, rng)
    held_out = Media(media.noise[: families // 10], media.features[: families // 10])
    training = Media(media.noise[families // 10 :], media.features[families // 10 :])
    first = Perceptrons(1, [generator.noise_dim] + [width] * layers, torch.Generator().manual_seed(seed))
    start = Start(
        list(first.weights), list(first.biases), torch.full((2 * (layers + 1),), math.log(0.1)), adaptation_steps
    )
    start.log_rates.requires_grad_(True)
    learned = [*start.weights, *start.biases, start.log_rates]
    optimiser = torch.optim.Adam(learned, lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    with tqdm(total=steps, desc="learning a start", unit="step") as progress:
        for step in range(steps):
            support = int(np.exp(rng.uniform(*np.log(_SUPPORT))))
            loss, _ = foresight(start, draw_tasks(training, tasks, support, rng))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimiser.step()
            schedule.step()
            progress.update()
            if step % 500 == 499:
                check = np.random.default_rng(seed + 1)
                right = [foresight(start, draw_tasks(held_out, 32, n, check))[1] for n in (15, 60, 120)]
                progress.write(f"step {step + 1}: foreseen after 15, 60, 120 answers: {np.round(right, 3).tolist()}")
    weights, biases = ([tensor.detach() for tensor in part] for part in (start.weights, start.biases))
    return Start(weights, biases, start.log_rates.detach(), adaptation_steps)


def main(arguments: list[str] | None = None) -> None:
    line = jsonargparse.ArgumentParser(
        prog="python -m agents.reference.meta", description="Learns a start for the reward model MetaLearned."
    )
    line.add_argument("--generator", type=str, default="avatars", help="an embedded model, a checkpoint, …")
    line.add_argument("--out", type=Path | None, default=None, help="a .safetensors file; the shipped one for avatars")
    line.add_function_arguments(learn, skip={"generator"})
    config = line.parse_args(arguments).as_dict()
    source, out = config.pop("generator"), config.pop("out")
    try:
        if out is None and source not in EMBEDDED:
            raise ValueError("--out is missing; expected a .safetensors file for the start of this generator")
        out = out or STARTS / f"{source}.safetensors"
        if out.suffix != ".safetensors":
            raise ValueError(f"--out is {out}, expected a .safetensors file")
        generator = load_generator(source)
        if getattr(generator, "weights", None) is None:
            raise ValueError(
                "the generator has no attribute weights that names them, by which a start is known to be its"
            )
        begun = time.monotonic()
        learn(generator, **config).save(out, str(generator.weights))  # type: ignore[attr-defined]
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{out} after {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()

"""A perceptron that begins with weights learned beforehand, from which few answers suffice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from agents.base import Noise
from agents.reference.memory import Dataset
from agents.reference.reward.base import RewardModel
from agents.reference.reward.perceptrons import bradley_terry_loss, perceptron_outputs
from pbg_env import Generator

STARTS = Path(__file__).resolve().parent.parent / "starts"
_KIND = "pbg-env meta-learned start"


class Start(NamedTuple):
    """Where adapting begins, and how far its steps go."""

    weights: list[Tensor]
    """Of each layer, (1, width in, width out)."""
    biases: list[Tensor]
    """Of each layer, (1, 1, width out)."""
    log_rates: Tensor
    """Logarithm of the step length of each weight tensor, then of each bias tensor, (2 · layers,)."""
    steps: int
    """Of gradient descent that it was learned for."""

    def save(self, path: Path, generator: str) -> None:
        """Writes a `.safetensors` file that names the generator's weights it was learned for."""
        tensors = {f"weight.{layer}": tensor for layer, tensor in enumerate(self.weights)}
        tensors |= {f"bias.{layer}": tensor for layer, tensor in enumerate(self.biases)}
        tensors["log_rates"] = self.log_rates
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            path,
            {"kind": _KIND, "generator": generator, "steps": str(self.steps)},
        )

    @classmethod
    def load(cls, path: Path) -> tuple[Start, str]:
        """The start in a file, and the name of the generator's weights it was learned for.

        Raises:
            FileNotFoundError: no such file.
            ValueError: the file holds something else.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"no such start: {path}; train one with python -m agents.reference.meta --generator … --out {path}"
            )
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        except SafetensorError as error:
            raise ValueError(f"{path} is no start: {error}") from error
        if metadata.get("kind") != _KIND:
            raise ValueError(f"{path} is no start; python -m agents.reference.meta writes such files")
        layers = range(sum(name.startswith("weight.") for name in tensors))
        weights, biases = ([tensors[f"{what}.{layer}"] for layer in layers] for what in ("weight", "bias"))
        return cls(weights, biases, tensors["log_rates"], int(metadata["steps"])), metadata["generator"]


def adapt(start: Start, noise: Tensor, labels: Tensor, *, differentiable: bool = False) -> list[Tensor]:
    """Steps of gradient descent on the cross-entropy, from the start (Finn et al. 2017, eq. 1), one task a member.

    Args:
        start: its tensors with as many members as there are tasks, or 1 for one task.
        noise: pairs (members, pairs, 2, noise_dim).
        labels: (members, pairs, 2), weights on first and second.
        differentiable: keep the way back to the start.

    Returns:
        The adapted weights of each layer, then the biases, each (members, …).
    """
    tensors = [
        (tensor if differentiable else tensor.detach()).expand(len(noise), -1, -1)
        for tensor in (*start.weights, *start.biases)
    ]
    tensors = [tensor if tensor.requires_grad else tensor.clone().requires_grad_(True) for tensor in tensors]
    rates = start.log_rates.exp()
    # Of each task the mean over what was answered, and the sum over the tasks: none feels the others.
    told = labels.sum(dim=(1, 2)).clamp_min(1.0) / labels.shape[1]
    for _ in range(start.steps):
        rewards = pair_rewards(tensors, noise)
        loss = bradley_terry_loss(rewards, labels / told[:, None, None]) * len(noise)
        gradients = torch.autograd.grad(loss, tensors, create_graph=differentiable)
        tensors = [tensor - rate * gradient for tensor, rate, gradient in zip(tensors, rates, gradients, strict=True)]
        if not differentiable:
            tensors = [tensor.detach().requires_grad_(True) for tensor in tensors]
    return tensors


def pair_rewards(tensors: Sequence[Tensor], noise: Tensor) -> Tensor:
    """Pairs (members, pairs, 2, noise_dim) → rewards (members, pairs, 2), with weights and biases as of `adapt`."""
    layers = len(tensors) // 2
    return perceptron_outputs(tensors[:layers], tensors[layers:], noise.flatten(1, 2)).unflatten(1, (-1, 2))


class MetaLearned(RewardModel):
    """A perceptron on noise whose first weights and step lengths were learned on simulated users of the generator.

    Each round it adapts anew to all that is remembered. A both-bad answer says nothing to it.

    Args:
        start: "avatars" for the embedded generator, or a file that `python -m agents.reference.meta` has written.
        steps: of gradient descent a round; as many as the start was learned for unless told.
    """

    def __init__(self, start: str = "avatars", steps: int | None = None) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"steps is {steps}, expected at least 1, or null for what the start was learned for")
        self.steps = steps
        self._name = start

    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        path = Path(self._name)
        if path.suffix != ".safetensors":
            path = STARTS / f"{self._name}.safetensors"
        start, learned_for = Start.load(path)
        weights = str(getattr(generator, "weights", ""))
        if weights != learned_for:
            raise ValueError(
                f"the start {self._name!r} was learned for a generator with other weights ({learned_for}, this one has "
                f"{weights or 'no name'}); train one with python -m agents.reference.meta --generator …"
            )
        self.device = generator.device
        weight_tensors, biases = ([tensor.to(self.device) for tensor in part] for part in (start.weights, start.biases))
        self._start = Start(weight_tensors, biases, start.log_rates.to(self.device), self.steps or start.steps)
        self._tensors = [*weight_tensors, *biases]

    def rate(self, noise: Tensor) -> Tensor:
        layers = len(self._tensors) // 2
        return perceptron_outputs(self._tensors[:layers], self._tensors[layers:], noise[None])[0]

    def fit(self, data: Dataset, incumbent: Noise | None) -> dict[str, float]:
        told = data.labels.sum(axis=1) > 0
        if not told.any():
            return {}
        pairs, labels = (torch.from_numpy(values[told]).to(self.device)[None] for values in (data.pairs, data.labels))
        with torch.enable_grad():
            self._tensors = [tensor.detach() for tensor in adapt(self._start, pairs, labels)]
        return {"preference_loss": float(bradley_terry_loss(pair_rewards(self._tensors, pairs), labels))}

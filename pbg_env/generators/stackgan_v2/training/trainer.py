"""The training loop's inside: the networks, their optimisers, and one step of both."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pbg_env.generators.stackgan_v2.networks import DiscriminatorNetwork, GeneratorNetwork, scale_size
from pbg_env.generators.stackgan_v2.training.losses import (
    colour_consistency,
    discriminator_loss,
    generator_loss,
    real_gradient_penalty,
)
from pbg_env.noise import sample_noise_tensor

_BETAS = (0.5, 0.999)
_CALIBRATION_PICTURES = 1024
_R1_EVERY = 16


@dataclass(frozen=True)
class Recipe:
    """What shapes the weights of a training run; two runs of the same recipe and pictures are the same run.

    Attributes:
        scales: 1 to 4 branches of 64, 128, 256, 512 px.
        gf_dim: width of the generator (`GF_DIM`).
        df_dim: width of the discriminators (`DF_DIM`).
        z_dim: size of the noise (`Z_DIM`).
        residual_blocks: of each stage after the first (`R_NUM`); the fourth stage has one, as published.
        batch_size: pictures a step.
        steps: optimiser steps in all.
        learning_rate: of Adam, for generator and discriminators.
        decay: the last share of the steps, in [0, 1], over which the learning rate falls to 0 along a line; 0 as
            published.
        average: decay a step of the generator's moving average, whose weights the snapshots hold.
        r1: weight γ of the gradient penalty γ/2 · ‖∇D‖² on real pictures (Mescheder et al. 2018), applied every 16th
            step at 16 times the weight; 0 as published.
        flip: mirror pictures at random.
        seed: of everything random.
    """

    scales: int = 1
    gf_dim: int = 64
    df_dim: int = 64
    z_dim: int = 100
    residual_blocks: int = 2
    batch_size: int = 24
    steps: int = 100_000
    learning_rate: float = 2e-4
    decay: float = 0.0
    average: float = 0.999
    r1: float = 0.0
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, fine, expected in (
            ("scales", self.scales, 1 <= self.scales <= 4, "1 to 4"),
            ("gf_dim", self.gf_dim, self.gf_dim > 0, "at least 1"),
            ("df_dim", self.df_dim, self.df_dim > 0, "at least 1"),
            ("z_dim", self.z_dim, self.z_dim > 0, "at least 1"),
            ("residual_blocks", self.residual_blocks, self.residual_blocks >= 1, "at least 1"),
            ("batch_size", self.batch_size, self.batch_size >= 2, "at least 2, as batches are normalised"),
            ("steps", self.steps, self.steps > 0, "at least 1"),
            ("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0"),
            ("decay", self.decay, 0 <= self.decay <= 1, "0 to 1"),
            ("average", self.average, 0 <= self.average < 1, "0 to below 1"),
            ("r1", self.r1, self.r1 >= 0, "at least 0"),
        ):
            if not fine:
                raise ValueError(f"{name} is {value}, expected {expected}")


class Trainer:
    """Owns networks, average, optimisers, random state and the number of steps done.

    Args:
        recipe: what to train.
        device: where to train; on CUDA the networks run in bf16.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe = recipe
        self.device = device
        self.step = 0
        # Scale 3 has one residual block whatever R_NUM says, as published.
        blocks = [recipe.residual_blocks if stage < 3 else 1 for stage in range(1, recipe.scales)]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.generator = GeneratorNetwork(recipe.z_dim, recipe.gf_dim, blocks)
            self.discriminators = nn.ModuleList(
                DiscriminatorNetwork(recipe.df_dim, scale) for scale in range(recipe.scales)
            )
            for module in (*self.generator.modules(), *self.discriminators.modules()):
                _initialise(module)
        for network in (self.generator, *self.discriminators):
            network.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.generator_optimiser = self._adam(self.generator)
        self.discriminator_optimisers = [self._adam(network) for network in self.discriminators]
        self.rng = torch.Generator().manual_seed(recipe.seed)

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), lr=self.recipe.learning_rate, betas=_BETAS)

    def train_step(self, real: Sequence[Tensor]) -> dict[str, Tensor]:
        """One step of every discriminator, then one of the generator.

        Args:
            real: pictures of every scale (batch, 3, side, side) in [-1, 1].

        Returns:
            The losses by name, scalars still on the device.
        """
        self._set_learning_rate()
        real = [pictures.to(self.device, memory_format=torch.channels_last, non_blocking=True) for pictures in real]
        noise = sample_noise_tensor(len(real[0]), self.recipe.z_dim, self.rng).to(self.device)
        losses: dict[str, Tensor] = {}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            fake = self.generator(noise)
            for scale, discriminator in enumerate(self.discriminators):
                loss = self._discriminator_step(scale, real[scale], fake[scale].detach())
                losses[f"discriminator/{scale_size(scale)}px"] = loss
                discriminator.requires_grad_(False)
            adversarial = [
                generator_loss(discriminator(pictures).float())
                for discriminator, pictures in zip(self.discriminators, fake, strict=True)
            ]
            colour = colour_consistency(fake)
        self.generator_optimiser.zero_grad(set_to_none=True)
        (torch.stack(adversarial).sum() + colour).backward()
        self.generator_optimiser.step()
        self.discriminators.requires_grad_(True)
        with torch.no_grad():
            averages: list[Tensor] = list(self.average.parameters())
            weights: list[Tensor] = list(self.generator.parameters())
            torch._foreach_lerp_(averages, weights, 1.0 - self.recipe.average)
        self.step += 1
        losses |= {f"generator/{scale_size(scale)}px": loss.detach() for scale, loss in enumerate(adversarial)}
        if self.recipe.scales > 1:
            losses["generator/colour"] = colour.detach()
        return losses

    def _discriminator_step(self, scale: int, real: Tensor, fake: Tensor) -> Tensor:
        discriminator, optimiser = self.discriminators[scale], self.discriminator_optimisers[scale]
        penalised = self.recipe.r1 > 0 and self.step % _R1_EVERY == 0
        if penalised:
            real = real.requires_grad_(True)
        real_logits, fake_logits = discriminator(real).float(), discriminator(fake).float()
        loss = discriminator_loss(real_logits, fake_logits)
        total = loss
        if penalised:
            total = loss + 0.5 * self.recipe.r1 * _R1_EVERY * real_gradient_penalty(real_logits, real)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        return loss.detach()

    def _set_learning_rate(self) -> None:
        decaying = self.recipe.decay * self.recipe.steps
        left = self.recipe.steps - self.step
        factor = min(1.0, left / decaying) if decaying > 0 else 1.0
        for optimiser in (self.generator_optimiser, *self.discriminator_optimisers):
            for group in optimiser.param_groups:
                group["lr"] = factor * self.recipe.learning_rate

    @torch.no_grad()
    def averaged_generator(self) -> GeneratorNetwork:
        """A copy of the averaged generator with batch statistics of its own, in evaluation mode.

        The running statistics of the network in training belong to its latest weights, not to the average of many.
        """
        network = copy.deepcopy(self.average)
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.reset_running_stats()
                module.momentum = None  # None asks for the plain mean over all batches
        network.train()
        rng = torch.Generator().manual_seed(self.recipe.seed)
        # In batches of the training's size, which the memory is known to hold.
        for _ in range(math.ceil(_CALIBRATION_PICTURES / self.recipe.batch_size)):
            network(sample_noise_tensor(self.recipe.batch_size, self.recipe.z_dim, rng).to(self.device))
        return network.eval()

    def state(self) -> dict[str, Any]:
        """Everything that going on exactly needs, as tensors and plain values."""
        return {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "discriminators": [network.state_dict() for network in self.discriminators],
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "discriminator_optimisers": [optimiser.state_dict() for optimiser in self.discriminator_optimisers],
            "rng": self.rng.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes back to a `state()`; the recipe must be the same but for the number of steps."""
        self.step = state["step"]
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.generator_optimiser.load_state_dict(state["generator_optimiser"])
        for network, weights in zip(self.discriminators, state["discriminators"], strict=True):
            network.load_state_dict(weights)
        for optimiser, moments in zip(self.discriminator_optimisers, state["discriminator_optimisers"], strict=True):
            optimiser.load_state_dict(moments)
        self.rng.set_state(state["rng"])


def _initialise(module: nn.Module) -> None:
    """Orthogonal weights and normalisation scales around 1, as the published code starts."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.orthogonal_(module.weight)
    elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)

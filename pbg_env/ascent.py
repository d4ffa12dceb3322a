"""Gradient ascent on noise within the bounds of the prior."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pbg_env.noise import NOISE_BOUND


def ascend(
    objective: Callable[[Tensor], Tensor],
    starts: Tensor,
    *,
    steps: int,
    learning_rate: float,
    anneal: bool = True,
    patience: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Moves each start uphill with Adam, and keeps the best place it passed.

    Args:
        objective: noise (batch, noise_dim) → values (batch,), each differentiable with respect to its own noise.
        starts: (batch, noise_dim).
        steps: of Adam.
        learning_rate: of Adam, in units of noise.
        anneal: let the learning rate fall to 0 along half a cosine.
        patience: ends after so many steps in which no start came higher; None takes all steps.

    Returns:
        The best noise of each start (batch, noise_dim), within ±4, and its value (batch,).
    """
    noise = starts.detach().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([noise], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps) if anneal and steps else None
    best = starts.detach().clone()
    best_value = torch.full((len(starts),), -torch.inf, device=starts.device, dtype=starts.dtype)
    since = 0
    for step in range(steps + 1):
        value = objective(noise)
        with torch.no_grad():
            better = value > best_value
            best_value = torch.where(better, value, best_value)
            best = torch.where(better[:, None], noise, best)
        if patience is not None:
            since = 0 if better.any() else since + 1
        if step == steps or (patience is not None and since >= patience):
            break
        (noise.grad,) = torch.autograd.grad(-value.sum(), noise)
        optimiser.step()
        if schedule is not None:
            schedule.step()
        with torch.no_grad():
            noise.clamp_(-NOISE_BOUND, NOISE_BOUND)
    return best.detach(), best_value.detach()

"""A multilayer perceptron, or several, as in the original system."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from agents.base import Noise
from agents.reference.memory import Dataset
from agents.reference.reward.base import RewardModel, bad_below
from agents.reference.reward.features import Described, PrincipalComponents
from agents.reference.reward.features import Noise as NoiseItself
from agents.reference.reward.perceptrons import Perceptrons, bradley_terry_loss, threshold_loss
from pbg_env import Generator

_DROPOUT_SAMPLES = 20

BothBad = Literal["nothing", "threshold", "incumbent"]
Sees = Literal["noise", "media"]


class MLPReward(RewardModel):
    """Perceptrons fitted by the cross-entropy of Bradley–Terry probabilities; the reward is their mean.

    What dropout leaves out by chance, or what several members disagree about, is the model's uncertainty.

    Args:
        width: of each hidden layer.
        layers: hidden layers.
        learning_rate: of Adam.
        batch_size: comparisons a step.
        epochs: passes over the memory a round.
        members: perceptrons with weights and orders of their own.
        dropout: share of hidden units left out in each step, in [0, 1).
        sees: "noise", or "media": the principal components of the generator's media.
        components: of these, how many.
        standardise: shift and scale the inputs to mean 0 and deviation 1 over the memory.
        label_smoothing: share of each answer's weight that goes to both sides alike, in [0, 1).
        reward_penalty: on the mean square of the rewards.
        held_out: share of the memory that is not fitted to, in [0, 1): fitting stops early when it is foreseen worse.
        patience: epochs without a better forecast of what is held out before fitting stops; then the best is taken.
        from_scratch: begin each round with fresh weights instead of the last round's.
        both_bad: what such an answer means: "nothing"; that both lie below a "threshold", which is learned; or that
            both are worse than the "incumbent" where it is followed.
    """

    def __init__(
        self,
        width: int = 100,
        layers: int = 3,
        learning_rate: float = 1e-3,
        batch_size: int = 20,
        epochs: int = 10,
        members: int = 1,
        dropout: float = 0.0,
        sees: Sees = "noise",
        components: int = 64,
        standardise: bool = False,
        label_smoothing: float = 0.0,
        reward_penalty: float = 0.0,
        held_out: float = 0.0,
        patience: int = 3,
        from_scratch: bool = False,
        both_bad: BothBad = "nothing",
    ) -> None:
        counts = {"width": width, "layers": layers, "batch_size": batch_size, "epochs": epochs, "members": members}
        for name, value in (counts | {"components": components, "patience": patience}).items():
            if value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        for name, share in {"dropout": dropout, "label_smoothing": label_smoothing, "held_out": held_out}.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name} is {share}, expected a share from 0 to below 1")
        if not (learning_rate > 0 and reward_penalty >= 0):
            raise ValueError(
                f"learning_rate is {learning_rate} and reward_penalty {reward_penalty}, expected above 0 and at least 0"
            )
        for name, chosen, known in (("both_bad", both_bad, get_args(BothBad)), ("sees", sees, get_args(Sees))):
            if chosen not in known:
                raise ValueError(f"{name} is {chosen!r}, expected one of {', '.join(map(repr, known))}")
        self.width = width
        self.layers = layers
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.members = members
        self.dropout = dropout
        self.sees = sees
        self.components = components
        self.standardise = standardise
        self.label_smoothing = label_smoothing
        self.reward_penalty = reward_penalty
        self.held_out = held_out
        self.patience = patience
        self.from_scratch = from_scratch
        self.both_bad = both_bad

    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        self.device = generator.device
        self._rng = rng
        features = (
            NoiseItself(generator) if self.sees == "noise" else PrincipalComponents.of(generator, self.components)
        )
        self._described = Described(features, generator.device)
        self._widths = [features.width] + [self.width] * self.layers
        self._shift, self._scale = torch.zeros((), device=self.device), torch.ones((), device=self.device)
        self._begin()

    def rate(self, noise: Tensor) -> Tensor:
        return self._rewards(self._described.of_tensor(noise)).mean(dim=0)

    @torch.no_grad()
    def samples(self, noise: Tensor) -> Tensor:
        features = self._described.of_tensor(noise)
        if self.members == 1 and not self.dropout:
            return super().samples(noise)
        if not self.dropout:
            return self._rewards(features)
        # The same units are left out for all noise of a sample: only so are differences within a sample meant.
        draws = [self._rewards(features, masks) for masks in self._sampled_masks]
        return torch.cat(draws)

    def fit(self, data: Dataset, incumbent: Noise | None) -> dict[str, float]:
        if self.both_bad == "incumbent":
            data = bad_below(data, incumbent)
        if not (data.labels.any() or (self.both_bad == "threshold" and data.bad.any())):
            return {}
        if self.from_scratch:
            self._begin()
        with torch.no_grad():
            pairs = torch.from_numpy(data.pairs).to(self.device)
            features = self._described.of_tensor(pairs.flatten(0, 1)).unflatten(0, (-1, 2))  # (N, 2, width)
        if self.standardise:
            self._shift = features.mean(dim=(0, 1))
            self._scale = features.std(dim=(0, 1)).clamp_min(1e-6)
        labels, bad = (torch.from_numpy(values).to(self.device) for values in (data.labels, data.bad))
        order = self._rng.permutation(len(features))
        apart = round(self.held_out * len(features))
        check, fitted = (torch.from_numpy(part).to(self.device) for part in (order[:apart], order[apart:]))
        if not len(fitted):
            return {}
        epochs = self._epochs(features, labels, bad, fitted, check)
        with torch.no_grad():
            loss = bradley_terry_loss(self._rewards(features).mean(dim=0), labels)
        return {"preference_loss": float(loss), "epochs": float(epochs)}

    def _begin(self) -> None:
        """Fresh weights."""
        generator = torch.Generator().manual_seed(int(self._rng.integers(2**63)))
        self._network = Perceptrons(self.members, self._widths, generator).to(self.device).requires_grad_(False)
        self._threshold = torch.zeros((self.members, 1), device=self.device)
        self._dropped = generator
        self._sampled_masks = [self._masks(1) for _ in range(_DROPOUT_SAMPLES if self.dropout else 0)]

    def _masks(self, batch: int) -> list[Tensor]:
        """Factors on the outputs of each hidden layer, (members, batch, width), 0 or such that their mean is 1."""
        keep = 1 - self.dropout
        draws = [
            torch.rand((self.members, batch, width), generator=self._dropped) for width in self._network.hidden_widths
        ]
        return [(draw < keep).float().to(self.device) / keep for draw in draws]

    def _epochs(self, features: Tensor, labels: Tensor, bad: Tensor, fitted: Tensor, check: Tensor) -> int:
        """Fits to the comparisons (fitted,) of features (N, 2, width), watching others (check,); returns epochs."""
        weights = [*self._network.parameters(), self._threshold]
        for weight in weights:
            weight.requires_grad_(True)
        optimiser = torch.optim.Adam(weights, lr=self.learning_rate, fused=True)
        best, best_loss, since = [weight.detach().clone() for weight in weights], np.inf, 0
        scaled = (features - self._shift) / self._scale
        epochs = 0
        while epochs < self.epochs and since < self.patience:
            epochs += 1
            order = np.stack([self._rng.permutation(len(fitted)) for _ in range(self.members)])
            for places in torch.from_numpy(order).to(self.device).split(self.batch_size, dim=1):
                batch = fitted[places]  # (members, B)
                loss = self._loss(scaled[batch], labels[batch], bad[batch], learning=True)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
            if len(check):
                with torch.no_grad():
                    everyone = check.expand(self.members, -1)
                    loss_of_check = float(self._loss(scaled[everyone], labels[everyone], bad[everyone], learning=False))
                since = 0 if loss_of_check < best_loss else since + 1
                if since == 0:
                    best, best_loss = [weight.detach().clone() for weight in weights], loss_of_check
        # Whoever climbs the reward afterwards needs gradients of the noise alone.
        for weight, kept in zip(weights, best, strict=True):
            weight.requires_grad_(False)
            weight.grad = None
            if len(check):
                weight.copy_(kept)
        return epochs

    def _loss(self, inputs: Tensor, labels: Tensor, bad: Tensor, *, learning: bool) -> Tensor:
        """Of inputs (members, B, 2, width), labels (members, B, 2) and weights of both-bad answers (members, B)."""
        flat = inputs.flatten(1, 2)  # (members, 2 B, width)
        masks = self._masks(flat.shape[1]) if learning and self.dropout else None
        rewards = self._network(flat, masks).unflatten(1, (-1, 2))  # (members, B, 2)
        if learning and self.label_smoothing:
            halves = labels.sum(dim=-1, keepdim=True) / 2
            labels = (1 - self.label_smoothing) * labels + self.label_smoothing * halves
        loss = bradley_terry_loss(rewards, labels)
        if self.both_bad == "threshold":
            loss = loss + threshold_loss(rewards, labels, bad, self._threshold)
        if learning and self.reward_penalty:
            loss = loss + self.reward_penalty * rewards.square().mean()
        return loss

    def _rewards(self, features: Tensor, masks: list[Tensor] | None = None) -> Tensor:
        """Features (…, width) → rewards (members, …)."""
        flat = ((features - self._shift) / self._scale).reshape(1, -1, features.shape[-1])
        rewards = self._network(flat.expand(self.members, -1, -1), masks)
        return rewards.reshape(self.members, *features.shape[:-1])

"""The reference agent: the rounds that its stages make up."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from agents.base import Agent, Noise
from agents.reference.champion import Tracker
from agents.reference.destination import Mover
from agents.reference.filtering import Filter
from agents.reference.memory import Comparison, Memory
from agents.reference.pairing import Pairing
from agents.reference.reward import RewardModel
from agents.reference.sampling import Sampling
from pbg_env import Answer, Discriminator, Generator, Preference, sample_noise


class ReferenceAgent(Agent):
    """Works in rounds: sample actions, filter them, pair them, ask, remember, fit the reward, move the destination.

    Args:
        sampling: which actions come into question.
        filter: which of them are asked about.
        pairing: which are shown together.
        tracker: how the best action so far is followed.
        memory: what is remembered.
        reward: the model that explains the answers.
        mover: how the destination climbs the reward.
        rounds: after how many the agent is done; None goes on as long as it is asked.
    """

    def __init__(
        self,
        sampling: Sampling,
        filter: Filter,
        pairing: Pairing,
        tracker: Tracker,
        memory: Memory,
        reward: RewardModel,
        mover: Mover,
        rounds: int | None = None,
    ) -> None:
        super().__init__()
        if rounds is not None and rounds < 1:
            raise ValueError(f"rounds is {rounds}, expected at least 1, or null for no limit")
        self._sampling = sampling
        self._filter = filter
        self._pairing = pairing
        self._tracker = tracker
        self._memory = memory
        self._reward = reward
        self._mover = mover
        self._round_limit = rounds

    @property
    def destination(self) -> Noise:
        return self._destination

    def rate(self, noise: Tensor) -> Tensor:
        with torch.no_grad():
            return self._reward.rate(noise)

    def _start(self, generator: Generator, discriminator: Discriminator | None, rng: np.random.Generator) -> None:
        self._rng = rng
        self._reward.reset(generator, rng)
        self._memory.clear()
        self._tracker.clear()
        self._destination = sample_noise((generator.noise_dim,), rng)
        self._begin_round()

    def _begin_round(self) -> None:
        actions = self._sampling.sample(self._destination, self._rng)
        self._actions = self._filter.keep(actions, self._reward)
        self._index = {action.tobytes(): index for index, action in enumerate(self._actions)}
        self._answered: list[tuple[int, int, Preference]] = []
        self._heard: list[Comparison] = []
        self._challenging = False
        self._choose()

    def _question(self) -> tuple[Noise, Noise]:
        return self._asking

    def _choose(self) -> None:
        """Decides what to ask next, and ends the round when there is nothing left to ask in it."""
        if not self._challenging:
            asked = [(first, second) for first, second, _ in self._answered]
            pair = self._pairing.next_pair(self._actions, asked, self._reward, self._rng)
            if pair is not None:
                self._asking = self._actions[pair[0]], self._actions[pair[1]]
                return
            self._tracker.begin(self._actions, self._answered)
            self._challenging = True
        challenger, champion = self._tracker.next_challenger(), self._tracker.champion
        if challenger is not None and champion is not None:
            self._asking = challenger, champion
            return
        self._end_round()

    def _learn(self, answer: Answer) -> None:
        self._heard.append(Comparison(answer.first, answer.second, answer.preference.label, self.rounds))
        first, second = (self._index.get(noise.tobytes()) for noise in (answer.first, answer.second))
        if not self._challenging:
            if first is not None and second is not None:
                self._answered.append((first, second, answer.preference))
        elif np.array_equal(np.stack(self._asking), np.stack((answer.first, answer.second))):
            self._tracker.decide(answer.preference)
        self._choose()

    def _end_round(self) -> None:
        metrics = {"reward/accuracy": self._accuracy()}
        self._memory.add(self._heard)
        self._memory.add(self._tracker.conclusions(self._actions, self.rounds))
        fitted = self._reward.fit(self._memory.dataset(self.rounds))
        metrics |= {f"reward/{name}": value for name, value in fitted.items()}
        self._destination, metrics["destination/action_loss"] = self._mover.move(
            self._destination, self._actions, self._reward
        )
        metrics["destination/norm"] = float(np.linalg.norm(self._destination))
        self.metrics = metrics
        self.rounds += 1
        self.finished = self._round_limit is not None and self.rounds >= self._round_limit
        self._begin_round()

    def _accuracy(self) -> float:
        """Share of the round's decided answers that the model foresaw, before it is fitted to them."""
        decided = [heard for heard in self._heard if heard.label[0] != heard.label[1]]
        if not decided:
            return float("nan")
        pairs = np.stack([np.stack((heard.first, heard.second)) for heard in decided])
        rewards = self.rate(torch.from_numpy(pairs).flatten(0, 1).to(self._reward.device)).unflatten(0, (-1, 2))
        first = np.array([heard.label[0] for heard in decided])
        return float(((rewards[:, 0] > rewards[:, 1]).cpu().numpy() == (first > 0.5)).mean())

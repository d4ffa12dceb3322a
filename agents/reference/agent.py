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
from agents.reference.pairing import Answered, Pairing
from agents.reference.reward import RewardModel
from agents.reference.sampling import Sampling
from agents.reference.stopping import Stop
from pbg_env import Answer, Discriminator, Generator, sample_noise


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
        stop: when the agent is done.
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
        stop: Stop,
    ) -> None:
        super().__init__()
        self._sampling = sampling
        self._filter = filter
        self._pairing = pairing
        self._tracker = tracker
        self._memory = memory
        self._reward = reward
        self._mover = mover
        self._stop = stop

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
        self._mover.reset(generator, discriminator)
        self._destination = sample_noise((generator.noise_dim,), rng)
        self._path = [self._destination]
        self._begin_round()

    def _begin_round(self) -> None:
        actions = self._sampling.sample(self._destination, self._tracker.champion, self.rounds, self._rng)
        self._actions = self._filter.keep(actions, self._reward, self._rng)
        self._index = {action.tobytes(): index for index, action in enumerate(self._actions)}
        self._answered: list[Answered] = []
        self._heard: list[Comparison] = []
        self._challenging = False
        self._choose()

    def _question(self) -> tuple[Noise, Noise]:
        return self._asking

    def _choose(self) -> None:
        """Decides what to ask next, and ends the round when there is nothing left to ask in it."""
        if not self._challenging:
            pair = self._pairing.next_pair(self._actions, self._answered, self._reward, self._rng)
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
                self._answered.append(Answered(first, second, answer.preference))
        elif np.array_equal(np.stack(self._asking), np.stack((answer.first, answer.second))):
            self._tracker.decide(answer.preference)
        self._choose()

    def _end_round(self) -> None:
        metrics = {"reward/accuracy": self._accuracy()}
        self._memory.add(self._heard)
        self._memory.add(self._conclusions())
        incumbent = self._destination if self._tracker.champion is None else self._tracker.champion
        fitted = self._reward.fit(self._memory.dataset(self.rounds), incumbent)
        metrics |= {f"reward/{name}": value for name, value in fitted.items()}
        self._destination, metrics["destination/action_loss"] = self._mover.move(
            self._destination, self._actions, self._reward
        )
        metrics["destination/norm"] = float(np.linalg.norm(self._destination))
        self.metrics = metrics
        self.rounds += 1
        self._path.append(self._destination)
        self.finished_because = self._stop.reason(self._path)
        self.finished = self.finished_because != ""
        self._begin_round()

    def _conclusions(self) -> list[Comparison]:
        """What follows from the round's answers without being asked."""
        followed = [
            Comparison(self._actions[first], self._actions[second], preference.label, self.rounds)
            for first, second, preference in self._pairing.conclusions(self._answered)
        ]
        # What both conclude is one comparison.
        found = {(c.first.tobytes(), c.second.tobytes()): c for c in followed + self._tracker.conclusions(self.rounds)}
        return list(found.values())

    def _accuracy(self) -> float:
        """Share of the round's decided answers that the model foresaw, before it is fitted to them."""
        decided = [heard for heard in self._heard if heard.label[0] != heard.label[1]]
        if not decided:
            return float("nan")
        pairs = np.stack([np.stack((heard.first, heard.second)) for heard in decided])
        rewards = self.rate(torch.from_numpy(pairs).flatten(0, 1).to(self._reward.device)).unflatten(0, (-1, 2))
        first = np.array([heard.label[0] for heard in decided])
        return float(((rewards[:, 0] > rewards[:, 1]).cpu().numpy() == (first > 0.5)).mean())

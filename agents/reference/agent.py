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
from pbg_env import NOISE_BOUND, Answer, Discriminator, Generator, Preference, sample_noise


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
        sampled = self._sampling.sample(self._destination, self._tracker.champion, self.rounds, self._rng)
        kept = self._filter.keep(self._checked(sampled, self._sampling), self._reward, self._rng)
        self._actions = self._checked(kept, self._filter)
        self._index = {action.tobytes(): index for index, action in enumerate(self._actions)}
        self._answered: list[Answered] = []
        self._heard: list[Comparison] = []
        self._challenging = False
        self._strangers = 0
        self._choose()

    def _checked(self, actions: Noise, stage: Sampling | Filter) -> Noise:
        """The actions of a stage (count, noise_dim), each once.

        Raises:
            ValueError: fewer than two, of another shape, out of range, NaN or infinite; the stage is named.
        """
        # A copy: the stage may use its array again, and answers name actions by their bytes.
        found = np.array(actions, dtype=np.float32)
        name, width = type(stage).__name__, len(self._destination)
        if found.ndim != 2 or found.shape[1] != width:
            raise ValueError(f"{name} returned actions of shape {found.shape}, expected (count, {width})")
        if not (np.abs(found) <= NOISE_BOUND).all():
            raise ValueError(f"{name} returned actions beyond ±{NOISE_BOUND:g}, NaN or infinite")
        _, first = np.unique(found, axis=0, return_index=True)
        if len(first) < 2:
            raise ValueError(f"{name} left {len(first)} actions, expected at least 2: a pair needs two")
        return found[np.sort(first)]

    def _question(self) -> tuple[Noise, Noise]:
        return self._asking

    def _choose(self) -> None:
        """Decides what to ask next, and ends the round when there is nothing left to ask in it."""
        # Answers about other actions, as come where earlier ones were taken back, fill a round, too.
        most = self._pairing.most(len(self._actions))
        if not self._challenging:
            is_full = self._strangers > 0 and len(self._heard) >= most
            pair = None if is_full else self._pairing.next_pair(self._actions, self._answered, self._reward, self._rng)
            if pair is not None:
                self._asking = self._actions[pair[0]], self._actions[pair[1]]
                return
            self._tracker.begin(self._actions, self._answered)
            self._challenging = True
        challenger, champion = self._tracker.next_challenger(), self._tracker.champion
        if challenger is not None and champion is not None and self._strangers < most:
            # Who habitually picks one side must teach nothing by it.
            self._is_swapped = bool(self._rng.random() < 0.5)
            self._asking = (champion, challenger) if self._is_swapped else (challenger, champion)
            return
        self._end_round()

    def _learn(self, answer: Answer) -> None:
        self._heard.append(Comparison(answer.first, answer.second, answer.preference.label, self.rounds))
        first, second = (self._index.get(noise.tobytes()) for noise in (answer.first, answer.second))
        if self._challenging and np.array_equal(np.stack(self._asking), np.stack((answer.first, answer.second))):
            swapped = _SWAPPED.get(answer.preference, answer.preference)
            self._tracker.decide(swapped if self._is_swapped else answer.preference)
        elif not self._challenging and first is not None and second is not None:
            self._answered.append(Answered(first, second, answer.preference))
        else:
            self._strangers += 1
        self._choose()

    def _end_round(self) -> None:
        if not self._heard:
            raise ValueError(
                f"{type(self._pairing).__name__} has no question about the {len(self._actions)} actions of a round"
            )
        metrics = {"reward/accuracy": self._accuracy()}
        self._memory.add(self._heard)
        self._memory.add(self._conclusions())
        fitted = self._reward.fit(self._memory.dataset(self.rounds), self._tracker.champion)
        if not np.isfinite(fitted.get("preference_loss", 0.0)):
            raise ValueError(
                f"the loss of {type(self._reward).__name__} is NaN or infinite after a fit; a lower learning_rate may "
                f"help"
            )
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
        # What both conclude is one comparison, and an answer goes before what is concluded.
        asked = {_names(heard) for heard in self._heard}
        found = {_names(one): one for one in followed + self._tracker.conclusions(self.rounds)}
        return [one for names, one in found.items() if names not in asked]

    def _accuracy(self) -> float:
        """Share of the round's decided answers that the model foresaw, before it is fitted to them."""
        decided = [heard for heard in self._heard if heard.label[0] != heard.label[1]]
        if not decided:
            return float("nan")
        pairs = np.stack([np.stack((heard.first, heard.second)) for heard in decided])
        rewards = self.rate(torch.from_numpy(pairs).flatten(0, 1).to(self._reward.device)).unflatten(0, (-1, 2))
        first = np.array([heard.label[0] for heard in decided])
        return float(((rewards[:, 0] > rewards[:, 1]).cpu().numpy() == (first > 0.5)).mean())


_SWAPPED = {Preference.FIRST: Preference.SECOND, Preference.SECOND: Preference.FIRST}


def _names(comparison: Comparison) -> frozenset[bytes]:
    """Whom it compares, on whichever sides."""
    return frozenset((comparison.first.tobytes(), comparison.second.tobytes()))

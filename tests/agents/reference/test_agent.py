"""The stages together: one round of the original loop followed by hand, and answers that all arrive."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agents.reference.agent import ReferenceAgent
from agents.reference.memory import Dataset
from agents.reference.sampling import Sampling
from pbg_env import NOISE_BOUND, Preference, PreferencePairsEnv, as_perceived, sample_noise
from pbg_env.generators.stackgan_v2.model import StackGANGenerator
from tests.agents.conftest import agent_from, ask

SEED = 4
KEPT, ASKED = 4, 4
SMALL = {
    "original": ["--agent.sampling.count=12", "--agent.pairing.limit=4"],
    "reference": ["--agent.sampling.count=12", "--agent.sampling.near=4", "--agent.mover.steps=3"],
    "meta": ["--agent.sampling.count=12", "--agent.sampling.near=4", "--agent.mover.steps=3"],
}


def original(*more: str) -> ReferenceAgent:
    return agent_from(
        "original", "--agent.sampling.count=8", f"--agent.filter.limit={KEPT}", f"--agent.pairing.limit={ASKED}", *more
    )


class ByHand:
    """What a round of `original.yaml` comes to, in plain words."""

    def __init__(self, generator: StackGANGenerator, target: torch.Tensor) -> None:
        self.generator, self.target = generator, target
        self.rng = np.random.default_rng(SEED)
        self.weights_seed = int(self.rng.integers(2**63))
        self.destination = sample_noise((6,), self.rng)

    def prefers(self, one: np.ndarray, other: np.ndarray) -> bool:
        media = as_perceived(self.generator.media, self.generator.generate(torch.from_numpy(np.stack((one, other)))))
        errors = (media - self.target).square().flatten(1).mean(dim=1)
        return bool(errors[0] < errors[1])

    def network(self) -> list[torch.Tensor]:
        draws = torch.Generator().manual_seed(self.weights_seed)
        tensors = []
        for width_in, width_out in itertools.pairwise([6, 100, 100, 100, 1]):
            for rows in (width_in, 1):
                tensors.append((2 * torch.rand((1, rows, width_out), generator=draws) - 1)[0] / width_in**0.5)
        return [tensor.requires_grad_(True) for tensor in tensors]

    @staticmethod
    def rate(tensors: list[torch.Tensor], noise: torch.Tensor) -> torch.Tensor:
        for layer in range(4):
            noise = noise @ tensors[2 * layer] + tensors[2 * layer + 1]
            noise = noise if layer == 3 else F.leaky_relu(noise)
        return noise[..., 0]

    def questions(self, actions: np.ndarray) -> list[tuple[int, int]]:
        """Connect the components first, then ask the pair of least degree that has not met."""
        asked: list[tuple[int, int]] = []
        component = list(range(len(actions)))
        for _ in range(ASKED):
            unmet = [
                (i, j)
                for i, j in itertools.combinations(range(len(actions)), 2)
                if (i, j) not in asked and (j, i) not in asked
            ]
            apart = [(i, j) for i, j in unmet if component[i] != component[j]] or unmet
            degree = Counter(node for pair in asked for node in pair)
            shuffled = [apart[k] for k in self.rng.permutation(len(apart))]
            i, j = min(shuffled, key=lambda pair: degree[pair[0]] + degree[pair[1]])
            asked.append((i, j) if self.rng.random() < 0.5 else (j, i))
            component = [component[j] if name == component[i] else name for name in component]
        return asked

    def fit(self, tensors: list[torch.Tensor], pairs: torch.Tensor) -> None:
        """Ten epochs of Adam in batches of 20 on −log σ(r₁ − r₂), the first of each pair being preferred."""
        optimiser = torch.optim.Adam(tensors, lr=1e-3)
        self.rng.permutation(len(pairs))
        for _ in range(10):
            for batch in torch.from_numpy(self.rng.permutation(len(pairs))).split(20):
                rewards = self.rate(tensors, pairs[batch])
                optimiser.zero_grad()
                (-F.logsigmoid(rewards[:, 0] - rewards[:, 1]).mean()).backward()
                optimiser.step()

    def climb(self, tensors: list[torch.Tensor]) -> np.ndarray:
        noise = torch.from_numpy(self.destination).clone().requires_grad_(True)
        optimiser = torch.optim.Adam([noise], lr=1e-3)
        for _ in range(30):
            optimiser.zero_grad()
            (-self.rate(tensors, noise)).backward()
            optimiser.step()
        return noise.detach().clamp(-NOISE_BOUND, NOISE_BOUND).numpy()


def test_one_round_by_hand(generator: StackGANGenerator) -> None:
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=SEED)
    assert env.target is not None
    agent, hand = original(), ByHand(generator, env.target)
    agent.reset(generator, None, SEED)
    np.testing.assert_array_equal(agent.destination, hand.destination)

    # Sample, and keep the highest rated.
    tensors = hand.network()
    actions = sample_noise((8, 6), hand.rng)
    with torch.no_grad():
        best = hand.rate(tensors, torch.from_numpy(actions)).argsort(descending=True, stable=True)
    actions = actions[best[:KEPT].numpy()]

    # Ask, and follow what the answers mean.
    better: list[tuple[np.ndarray, np.ndarray]] = []
    lost = set()
    for i, j in hand.questions(actions):
        first = ask_about(agent, env, actions[i], actions[j]) == Preference.FIRST
        assert first == hand.prefers(actions[i], actions[j])
        lost.add(j if first else i)
        better.append((actions[i], actions[j]) if first else (actions[j], actions[i]))
    undefeated = [index for index in range(KEPT) if index not in lost]
    champion = actions[undefeated[0]]
    for index in undefeated[1:]:
        first, second = (champion, actions[index]) if hand.rng.random() < 0.5 else (actions[index], champion)
        winner, loser = (first, second) if ask_about(agent, env, first, second) == Preference.FIRST else (second, first)
        better.append((winner, loser))
        champion = winner
    # All actions hang together, so that the champion is preferred to each, whether it was asked about or followed.
    known = {(one.tobytes(), other.tobytes()) for one, other in better}
    better += [
        (champion, action)
        for action in actions
        if not np.array_equal(action, champion) and (champion.tobytes(), action.tobytes()) not in known
    ]
    assert agent.rounds == 1

    # Fit, and move.
    hand.fit(tensors, torch.from_numpy(np.stack([np.stack(pair) for pair in better])))
    np.testing.assert_allclose(agent.destination, hand.climb(tensors), atol=1e-4)
    assert np.abs(agent.destination - hand.destination).max() > 5e-3


def ask_about(agent: ReferenceAgent, env: PreferencePairsEnv, first: np.ndarray, second: np.ndarray) -> int:
    """The question of the agent, which is to be this one, and its answer."""
    action = agent.act(None)
    np.testing.assert_array_equal(action[0], np.stack((first, second)))
    *_, info = env.step(action)
    agent.observe(action, info["preference"], [env.queries - 1])
    return int(info["preference"][0])


@pytest.mark.parametrize("teacher", ["oracle", "human"])
def test_no_answer_is_lost_or_doubled_on_its_way_to_the_loss(
    teacher: str, config: str, generator: StackGANGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = PreferencePairsEnv(1, generator, teacher=teacher, goal=None)
    env.reset(seed=SEED)
    agent = agent_from(
        config,
        "--agent.memory.class_path=Everything",
        *SMALL[config],
    )
    agent.reset(generator, None, SEED)
    seen: list[Dataset] = []
    fit = agent._reward.fit
    monkeypatch.setattr(agent._reward, "fit", lambda data, incumbent: seen.append(data) or fit(data, incumbent))  # type: ignore[func-returns-value]
    answered: Counter[tuple[bytes, bytes, tuple[float, float]]] = Counter()
    while agent.rounds < 4:
        action = agent.act(None)
        answer = env.step(action)[4]["preference"]
        before = agent.rounds
        first, second = action[0]
        answered[first.tobytes(), second.tobytes(), Preference(int(answer[0])).label] += 1
        agent.observe(action, answer, [env.queries - 1])
        if agent.rounds > before:
            fitted = Counter(
                (pair[0].tobytes(), pair[1].tobytes(), tuple(label))
                for pair, label in zip(seen[-1].pairs, seen[-1].labels.tolist(), strict=True)
            )
            # What follows from answers is there besides them, and says FIRST.
            assert not answered - fitted
            assert all(label == (1.0, 0.0) for _, _, label in fitted - answered)
            assert max(fitted.values()) == 1
            asked = {frozenset(names[:2]) for names in answered}
            assert not any(frozenset(names[:2]) in asked for names in fitted - answered)
            assert seen[-1].bad.sum() == sum(n for (*_, label), n in answered.items() if label == (0.0, 0.0))
    assert len(seen) == 4


class Wrong(Sampling):
    def __init__(self, actions: np.ndarray) -> None:
        self.actions = actions

    def sample(
        self, destination: np.ndarray, incumbent: np.ndarray | None, round: int, rng: np.random.Generator
    ) -> np.ndarray:
        return self.actions


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.full((4, 6), 5.0), "Wrong returned actions beyond ±4, NaN or infinite"),
        (np.full((4, 6), np.nan), "Wrong returned actions beyond ±4, NaN or infinite"),
        (np.zeros((4, 5)), r"Wrong returned actions of shape \(4, 5\), expected \(count, 6\)"),
        (np.zeros((4, 6)), "Wrong left 1 actions, expected at least 2: a pair needs two"),
    ],
)
def test_a_stage_that_returns_what_is_no_actions_is_named(
    actions: np.ndarray, message: str, generator: StackGANGenerator
) -> None:
    agent = original()
    agent._sampling = Wrong(actions)
    with pytest.raises(ValueError, match=message):
        agent.reset(generator, None, SEED)


def test_actions_of_any_float_and_twice_the_same_are_asked_once(generator: StackGANGenerator) -> None:
    agent = original("--agent.pairing.class_path=AllPairs", "--agent.pairing.limit=null")
    agent._sampling = Wrong(np.repeat(np.eye(6)[:3], 2, axis=0))
    agent.reset(generator, None, SEED)
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=SEED)
    ask(agent, env, 3)
    assert agent.rounds == 1


def test_rounds_go_on_where_an_early_answer_was_taken_back(config: str, generator: StackGANGenerator) -> None:
    """What was heard about actions of rounds that came otherwise is remembered and learned from all the same."""
    agent = agent_from(config, *SMALL[config])
    agent.reset(generator, None, SEED)
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=SEED)
    ask(agent, env, 40)
    before = agent.rounds
    agent.retract([2])
    assert agent.rounds >= before / 2 > 1


def test_a_model_that_has_lost_its_way_is_named(generator: StackGANGenerator) -> None:
    agent = original(
        "--agent.reward.members=3", "--agent.reward.learning_rate=1e15", "--agent.pairing.class_path=MostInformative"
    )
    agent.reset(generator, None, SEED)
    env = PreferencePairsEnv(1, generator, goal=None)
    env.reset(seed=SEED)
    with pytest.raises(ValueError, match="the loss of MLPReward is NaN or infinite after a fit; a lower learning_rate"):
        ask(agent, env, 30)

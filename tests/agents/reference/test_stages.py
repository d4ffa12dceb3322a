"""The stages of a round, each by its promise."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch

from agents.reference.champion import BestActionTracker
from agents.reference.destination import GradientAscent, RestartedAscent
from agents.reference.filtering import HighestReward
from agents.reference.memory import Comparison, Dataset, Everything, RecentRounds
from agents.reference.pairing import GraphPairing, MostInformative
from agents.reference.reward import IdealPoint, MLPReward, RewardModel
from agents.reference.reward.ideal_point import PrincipalComponents, _elliptical_slices, _laplace
from agents.reference.reward.mlp import bradley_terry_loss
from agents.reference.sampling import FromPrior, PriorAndDestination
from pbg_env import NOISE_BOUND, Generator, Preference
from pbg_env.generators.stackgan_v2.model import StackGANGenerator

FIRST, SECOND, GOOD, BAD = Preference


class SumReward(RewardModel):
    """Rates noise by the sum of its values."""

    device = torch.device("cpu")

    def reset(self, generator: Generator, rng: np.random.Generator) -> None:
        pass

    def fit(self, data: Dataset) -> dict[str, float]:
        return {}

    def rate(self, noise: torch.Tensor) -> torch.Tensor:
        return noise.sum(dim=1)


def numbered(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.float32)[:, None].repeat(3, axis=1) / 100


class TestSampling:
    def test_prior(self, rng: np.random.Generator) -> None:
        actions = FromPrior(200).sample(np.zeros(50, np.float32), rng)
        assert actions.shape == (200, 50)
        assert actions.std() == pytest.approx(1, abs=0.03)

    def test_the_destination_comes_first_and_its_neighbours_keep_the_priors_length(
        self, rng: np.random.Generator
    ) -> None:
        destination = rng.standard_normal(400).astype(np.float32)
        actions = PriorAndDestination(count=50, near=50, spread=0.4).sample(destination, rng)
        assert actions.shape == (101, 400)
        np.testing.assert_array_equal(actions[0], destination)
        assert np.abs(actions).max() <= NOISE_BOUND
        cosine = actions @ destination / np.linalg.norm(actions, axis=1) / np.linalg.norm(destination)
        assert cosine[1:51] == pytest.approx(np.sqrt(1 - 0.16), abs=0.1)
        assert cosine[51:] == pytest.approx(0, abs=0.25)
        np.testing.assert_allclose(np.linalg.norm(actions, axis=1), 20, atol=3)


def test_the_highest_rated_are_kept_best_first() -> None:
    kept = HighestReward(3).keep(numbered(10)[[4, 9, 1, 7]], SumReward())
    np.testing.assert_array_equal(kept, numbered(10)[[9, 7, 4]])


class TestGraphPairing:
    def pairs(self, count: int, limit: int) -> list[tuple[int, int]]:
        pairing, rng = GraphPairing(limit), np.random.default_rng(0)
        asked: list[tuple[int, int]] = []
        while (pair := pairing.next_pair(numbered(count), asked, SumReward(), rng)) is not None:
            asked.append(pair)
        return asked

    def test_components_are_connected_first(self) -> None:
        reached = {node: {node} for node in range(10)}
        for first, second in self.pairs(10, 15)[:9]:
            assert reached[first] is not reached[second], "an edge within a component while others are apart"
            reached[first] |= reached[second]
            for node in reached[first]:
                reached[node] = reached[first]
        assert reached[0] == set(range(10))

    def test_then_those_of_least_degree(self) -> None:
        asked = self.pairs(10, 15)
        assert len(asked) == 15
        assert len({frozenset(pair) for pair in asked}) == 15
        degree = np.bincount(np.array(asked).ravel(), minlength=10)
        assert degree.max() - degree.min() <= 1

    def test_no_pair_twice(self) -> None:
        assert len(self.pairs(3, 15)) == 3

    def test_sides_carry_no_information(self) -> None:
        firsts = [
            pair[0] < pair[1]
            for seed in range(400)
            if (pair := GraphPairing(1).next_pair(numbered(4), [], SumReward(), np.random.default_rng(seed)))
        ]
        assert abs(sum(firsts) - 200) < 5 * 10


class TestMemory:
    comparisons: ClassVar = [
        Comparison(np.zeros(2, np.float32), np.ones(2, np.float32), answer.label, round)
        for round, answer in enumerate((FIRST, SECOND, GOOD, BAD))
    ]

    def test_older_rounds_weigh_less_and_the_oldest_are_forgotten(self) -> None:
        memory = RecentRounds(rounds=3, discount=0.5)
        memory.add(self.comparisons)
        np.testing.assert_allclose(memory.dataset(3).labels, [[0, 0.25], [0.25, 0.25], [0, 0]])

    def test_discounting_never_changes_what_was_stored(self) -> None:
        """Discounts compounded in place would let an answer fade with how often it was looked at."""
        memory = RecentRounds(rounds=10, discount=0.5)
        memory.add(self.comparisons)
        once = memory.dataset(3).labels.copy()
        np.testing.assert_array_equal(memory.dataset(3).labels, once)
        assert [item.label for item in self.comparisons] == [answer.label for answer in Preference]

    def test_everything_is_kept_at_full_weight(self) -> None:
        memory = Everything()
        memory.add(self.comparisons)
        np.testing.assert_allclose(memory.dataset(99).labels, [answer.label for answer in Preference])


class TestTracker:
    def test_who_lost_to_nothing_challenges_the_champion(self) -> None:
        tracker, actions = BestActionTracker(), numbered(6)
        # 0 beats 1, 2 ties with 3, 4 and 5 are both bad: 0, 2 and 3 lost to nothing.
        tracker.begin(actions, [(0, 1, FIRST), (3, 2, GOOD), (4, 5, BAD)])
        np.testing.assert_array_equal(tracker.champion, actions[0])
        np.testing.assert_array_equal(tracker.next_challenger(), actions[2])
        tracker.decide(FIRST)
        np.testing.assert_array_equal(tracker.champion, actions[2])
        np.testing.assert_array_equal(tracker.next_challenger(), actions[3])
        tracker.decide(GOOD)
        np.testing.assert_array_equal(tracker.champion, actions[2])
        assert tracker.next_challenger() is None

    def test_the_champion_is_preferred_to_every_other_action_of_the_round(self) -> None:
        tracker, actions = BestActionTracker(), numbered(4)
        tracker.begin(actions, [(1, 0, FIRST), (1, 2, FIRST), (1, 3, FIRST)])
        conclusions = tracker.conclusions(actions, round=7)
        assert [float(c.second[0]) for c in conclusions] == pytest.approx([0, 0.02, 0.03])
        assert all(c.label == (1, 0) and c.round == 7 and c.first[0] == actions[1, 0] for c in conclusions)


class TestMLP:
    def test_loss_by_hand(self) -> None:
        rewards = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
        labels = torch.tensor([answer.label for answer in Preference])
        first = -np.log(1 / (1 + np.exp(-1)))
        second = -np.log(1 / (1 + np.exp(1)))
        expected = (first + second + (first + second) / 2 + 0) / 4
        assert float(bradley_terry_loss(rewards, labels)) == pytest.approx(expected)

    def test_loss_stays_finite_where_a_probability_rounds_to_0(self) -> None:
        loss = bradley_terry_loss(torch.tensor([[-300.0, 300.0]]), torch.tensor([[1.0, 0.0]]))
        assert float(loss) == pytest.approx(600)

    def test_learns_an_order_and_wants_no_gradient_afterwards(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model = MLPReward(epochs=60)
        model.reset(generator, rng)
        pairs = rng.standard_normal((300, 2, 6)).astype(np.float32)
        better = pairs[..., 0].argmax(axis=1)
        model.fit(Dataset(pairs, np.eye(2, dtype=np.float32)[better]))
        fresh = torch.from_numpy(rng.standard_normal((500, 2, 6)).astype(np.float32))
        rated = model.rate(fresh.flatten(0, 1)).view(500, 2)
        assert ((rated[:, 0] > rated[:, 1]) == (fresh[:, 0, 0] > fresh[:, 1, 0])).double().mean() > 0.9
        assert not any(parameter.requires_grad for parameter in model._network.parameters())


class TestIdealPoint:
    def test_components_measure_the_error_of_media(self, generator: StackGANGenerator) -> None:
        """With all directions kept, lengths among components are root mean squared errors among media."""
        components = PrincipalComponents.of(generator, 1000)
        noise = generator.sample_noise(20, np.random.default_rng(1))
        found = torch.cdist(components.of_noise(noise), components.of_noise(noise)).square()
        media = generator.generate(noise).flatten(1)
        expected = torch.cdist(media, media).square() / media.shape[1]
        assert float((found - expected).abs().max() / expected.max()) < 0.05

    def test_posterior_agrees_with_brute_force_in_one_dimension(self) -> None:
        slopes, offsets = np.array([[2.0], [-1.0], [0.5]]), np.array([0.3, 0.0, -0.2])
        weights = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
        variances = np.array([0.7])
        grid = np.linspace(-6, 6, 200_001)
        logits = slopes @ grid[None] + offsets[:, None]
        log = -(weights[:, :1] * np.logaddexp(0, -logits) + weights[:, 1:] * np.logaddexp(0, logits)).sum(axis=0)
        density = np.exp(log - grid**2 / (2 * 0.7)) / np.sqrt(2 * np.pi * 0.7)
        mode, evidence = _laplace(slopes, offsets, weights, variances, np.zeros(1))
        assert mode[0] == pytest.approx(grid[density.argmax()], abs=1e-3)
        # Laplace's approximation is near, not exact; the samples are, up to their number.
        assert evidence == pytest.approx(np.log(density.sum() * (grid[1] - grid[0])), abs=0.05)
        samples = _elliptical_slices(slopes, offsets, weights, variances, mode, 4000, np.random.default_rng(0))
        mean = (grid * density).sum() / density.sum()
        deviation = np.sqrt((density * (grid - mean) ** 2).sum() / density.sum())
        assert samples.shape == (4000, 1)
        assert samples.mean() == pytest.approx(mean, abs=0.05)
        assert samples.std() == pytest.approx(deviation, rel=0.05)

    def test_learns_where_the_target_is(self, generator: StackGANGenerator, rng: np.random.Generator) -> None:
        model = IdealPoint(components=6)
        model.reset(generator, rng)
        target = generator.sample_noise(1, rng)
        noise = generator.sample_noise(200, rng)
        distance = (generator.generate(noise) - generator.generate(target)).square().flatten(1).mean(dim=1).view(100, 2)
        labels = np.eye(2, dtype=np.float32)[distance.argmin(dim=1).numpy()]
        assert model.fit(Dataset(noise.view(100, 2, 6).numpy(), labels))["preference_loss"] < 0.3
        fresh = generator.sample_noise(400, rng)
        wanted = -(generator.generate(fresh) - generator.generate(target)).square().flatten(1).mean(dim=1)
        assert np.corrcoef(model.rate(fresh).numpy(), wanted.numpy())[0, 1] > 0.9

    def test_both_bad_says_nothing_about_the_order(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model = IdealPoint(components=4)
        model.reset(generator, rng)
        noise = generator.sample_noise(20, rng).view(10, 2, 6).numpy()
        assert model.fit(Dataset(noise, np.zeros((10, 2), np.float32))) == {}

    def test_information_is_within_a_bit_and_falls_with_answers(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model = IdealPoint(components=6)
        model.reset(generator, rng)
        noise = generator.sample_noise(40, rng)
        first, second = np.arange(0, 40, 2), np.arange(1, 40, 2)
        before = model.information(noise, first, second)
        assert (before > 0).all()
        assert (before < 1).all()
        np.testing.assert_allclose(model.information(noise, second, first), before, atol=1e-9)
        labels = np.eye(2, dtype=np.float32)[np.zeros(20, int)]
        model.fit(Dataset(noise.view(20, 2, 6).numpy(), labels))
        assert model.information(noise, first, second).mean() < before.mean()

    def test_pairing_takes_the_most_informative(self, generator: StackGANGenerator, rng: np.random.Generator) -> None:
        model = IdealPoint(components=6)
        model.reset(generator, rng)
        actions = generator.sample_noise(8, rng)
        pair = MostInformative(5, candidates=2000).next_pair(actions.numpy(), [], model, rng)
        assert pair is not None
        first, second = np.triu_indices(8, 1)
        information = model.information(actions, first, second)
        best = information.argmax()
        assert set(pair) == {first[best], second[best]}
        again = MostInformative(5).next_pair(actions.numpy(), [pair], model, rng)
        assert again is not None
        assert not set(again) & set(pair)
        # Of eight actions four pairs can be shown without repetition.
        asked: list[tuple[int, int]] = []
        while (more := MostInformative(9).next_pair(actions.numpy(), asked, model, rng)) is not None:
            asked.append(more)
        assert sorted(index for both in asked for index in both) == list(range(8))
        assert MostInformative(1).next_pair(actions.numpy(), [pair], model, rng) is None

    def test_the_destination_is_shown_first_where_that_is_wanted(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model = IdealPoint(components=6)
        model.reset(generator, rng)
        actions = generator.sample_noise(8, rng)
        pair = MostInformative(5, show_first=1.0).next_pair(actions.numpy(), [], model, rng)
        assert pair is not None
        information = model.information(actions, np.zeros(7, int), np.arange(1, 8))
        assert pair == (0, 1 + information.argmax())

    def test_rating_without_gradients_is_the_same_rating(
        self, generator: StackGANGenerator, rng: np.random.Generator
    ) -> None:
        model = IdealPoint(components=6)
        model.reset(generator, rng)
        noise = generator.sample_noise(5, rng)
        with torch.no_grad():
            remembered = model.rate(noise)
        torch.testing.assert_close(remembered, model.rate(noise), rtol=1e-4, atol=1e-5)

    def test_models_without_uncertainty_say_so(self, rng: np.random.Generator) -> None:
        with pytest.raises(NotImplementedError, match="SumReward knows no uncertainty; choose a pairing"):
            MostInformative().next_pair(numbered(4), [], SumReward(), rng)


class TestMovers:
    def test_gradient_ascent_is_thirty_steps_of_adam(self) -> None:
        move = GradientAscent(steps=30, learning_rate=1e-3).move(np.zeros(3, np.float32), numbered(2), SumReward())
        # A constant gradient makes every step of Adam as long as the learning rate.
        np.testing.assert_allclose(move.destination, 0.03, rtol=1e-3)
        assert move.action_loss == pytest.approx(-0.09, rel=1e-3)

    def test_ascent_stays_within_the_bounds(self) -> None:
        for mover in (GradientAscent(100, 1.0), RestartedAscent(100, 1.0, prior_weight=0.0)):
            move = mover.move(np.zeros(3, np.float32), numbered(3), SumReward())
            np.testing.assert_allclose(move.destination, NOISE_BOUND)

    def test_the_prior_draws_back(self) -> None:
        move = RestartedAscent(200, 0.1, prior_weight=0.5).move(np.zeros(3, np.float32), numbered(3), SumReward())
        # The top of Σ z − ½ · 0.5 · ‖z‖² is at 2.
        np.testing.assert_allclose(move.destination, 2, atol=0.01)
